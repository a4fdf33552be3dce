"""Face detection and face crops."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SHARED
from PIL import Image

from avfusion.corpora.recording import Box
from avfusion.features import face
from avfusion.features.face import (
    Face,
    FaceFeatures,
    cut_crop,
    detect_haar,
    detect_yunet,
    find_enclosing_square,
    level_eyes,
    widen_crop,
)

PHOTOGRAPHS = sorted((SHARED / "data" / "dev_grid_av" / "image").glob("*.jpg"))
WHOLE, HAAR = FaceFeatures(size=64), FaceFeatures(detector="haar", size=64)
needs_photographs = pytest.mark.skipif(
    not PHOTOGRAPHS, reason="no photographs of faces: AVFUSION_SHARED has no data/dev_grid_av"
)


def noise(height=90, width=120):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def spotted(height, width, spot):
    """A gray picture with a white spot: left, top, right, bottom."""
    picture = np.full((height, width, 3), 90, np.uint8)
    left, top, right, bottom = spot
    picture[top:bottom, left:right] = 255
    return picture


def extent(mask):
    """First and one past the last column and row of what is marked."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


@pytest.mark.parametrize(("height", "width"), [(90, 120), (120, 90), (100, 100), (41, 49), (1, 7)])
def test_a_whole_picture_keeps_its_proportions_and_its_center(height, width):
    _, crops, found = WHOLE.crops([np.full((height, width, 3), 200, np.uint8)])
    picture = WHOLE.cut([np.full((height, width, 3), 200, np.uint8)], crops)[0]
    assert not found and picture.shape == (64, 64, 3)
    left, top, right, bottom = extent(picture[..., 0] > 100)
    side = max(height, width)
    assert right - left == pytest.approx(64 * width / side, abs=2)
    assert bottom - top == pytest.approx(64 * height / side, abs=64 / side + 1)
    assert (left + right) / 2 == pytest.approx(32, abs=1)
    assert (top + bottom) / 2 == pytest.approx(32, abs=64 / side / 2 + 1)


def test_what_lies_outside_of_a_picture_is_black():
    picture = WHOLE.cut(
        [np.full((60, 120, 3), 200, np.uint8)],
        [find_enclosing_square(np.zeros((60, 120, 3), "u1"))],
    )
    assert picture[0, :15].max() == 0 and picture[0, -15:].max() == 0


@pytest.mark.parametrize("size", [32, 200])
def test_a_spot_stays_where_it_is_in_fractions_of_the_crop(size):
    picture = spotted(100, 140, (60, 30, 90, 50))
    crop = Box(40.0, 10.0, 100.0, 70.0)
    left, top, right, bottom = extent(cut_crop(picture, crop, size)[..., 0] > 170)
    expected = [size * part for part in (20 / 60, 20 / 60, 50 / 60, 40 / 60)]
    np.testing.assert_allclose([left, top, right, bottom], expected, atol=1)


def test_noise_holds_no_face_so_it_is_used_whole():
    _, crops, found = HAAR.crops([noise()])
    assert not found
    assert crops == [Box(0.0, -15.0, 120.0, 105.0)]


def test_no_detector_looks_for_nothing(monkeypatch):
    monkeypatch.setattr(face, "detect_haar", lambda picture: pytest.fail("looked for a face"))
    assert WHOLE.crops([noise()])[1:] == ([find_enclosing_square(noise())], False)


def test_a_face_is_widened_by_the_margin_on_each_side():
    crop = widen_crop(Box(80.0, 60.0, 120.0, 100.0), 0.25, noise(200, 300))
    assert crop == Box(70.0, 50.0, 130.0, 110.0)


@pytest.mark.parametrize("margin", [0.0, 0.3, 2.0])
@pytest.mark.parametrize(
    "corner", [(0.0, 0.0), (80.0, 0.0), (0.0, 50.0), (80.0, 50.0), (33.3, 21.7)]
)
def test_a_crop_is_a_square_inside_of_the_picture_that_holds_the_face(corner, margin):
    left, top = corner
    crop = widen_crop(Box(left, top, left + 40, top + 40), margin, noise(90, 120))
    assert crop.right - crop.left == pytest.approx(crop.bottom - crop.top)
    assert min(crop.left, crop.top) >= 0 and crop.right <= 120 and crop.bottom <= 90
    assert crop.left <= left + 1e-9 and crop.top <= top + 1e-9
    assert crop.right >= left + 40 - 1e-9 and crop.bottom >= top + 40 - 1e-9


def finder(monkeypatch, finds):
    """Find faces in pictures by the brightness of the picture."""
    faces = {level: [Face(box) for box in boxes] for level, boxes in finds.items()}
    monkeypatch.setattr(face, "detect_haar", lambda picture: faces.get(int(picture[0, 0, 0]), []))


SMALL, LARGE = Box(45.0, 30.0, 75.0, 60.0), Box(0.0, 0.0, 40.0, 40.0)


@pytest.mark.parametrize(("select_face", "chosen"), [("largest", LARGE), ("central", SMALL)])
def test_of_several_faces_the_largest_or_the_most_central_is_cut_out(
    monkeypatch, select_face, chosen
):
    picture = np.full((90, 120, 3), 7, np.uint8)
    finder(monkeypatch, {7: [SMALL, LARGE]})
    _, crops, _ = replace(HAAR, margin=0.0, select_face=select_face).crops([picture])
    assert crops == [chosen]


def test_the_same_person_is_cut_out_of_all_pictures_though_another_one_grows(monkeypatch):
    pictures = [np.full((90, 120, 3), number, np.uint8) for number in range(4)]
    person = [Box(10.0 + 8 * n, 10.0, 50.0 + 8 * n, 50.0) for n in range(4)]
    other = [Box(75.0, 30.0, 80.0 + 10 * n, 35.0 + 10 * n) for n in range(4)]
    order = [[person[n], other[n]][:: 1 if n % 2 else -1] for n in range(4)]
    order[2] = [other[2]]
    finder(monkeypatch, dict(enumerate(order)))
    _, crops, found = replace(HAAR, margin=0.0).crops(pictures)
    assert found and crops == [person[n] for n in (0, 1, 1, 3)]


def test_a_picture_without_a_find_uses_the_nearest_find(monkeypatch):
    pictures = [np.full((90, 120, 3), number, np.uint8) for number in range(5)]
    finds = {1: Box(10.0, 10.0, 40.0, 40.0), 4: Box(30.0, 20.0, 60.0, 50.0)}
    finder(monkeypatch, {number: [find] for number, find in finds.items()})
    _, crops, found = replace(HAAR, margin=0.0).crops(pictures)
    assert found and crops == [finds[n] for n in (1, 1, 1, 4, 4)]


@needs_photographs
@pytest.mark.parametrize("path", PHOTOGRAPHS[::6], ids=lambda path: Path(path).stem)
def test_a_face_is_found_where_another_cascade_finds_one(path):
    picture = np.asarray(Image.open(path).convert("RGB"))
    cascades = Path(cv2.__file__).parent / "data"
    other = cv2.CascadeClassifier(str(cascades / "haarcascade_frontalface_alt2.xml"))
    faces = other.detectMultiScale(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), minSize=(60, 60))
    x, y, width, height = max(faces, key=lambda found: found[2])
    _, crops, found = HAAR.crops([picture])
    assert found
    assert crops[0].left < x + width / 2 < crops[0].right
    assert crops[0].top < y + height / 2 < crops[0].bottom
    assert crops[0].right - crops[0].left < 3 * width


@needs_photographs
def test_a_large_picture_has_its_face_at_the_same_place():
    picture = np.asarray(Image.open(PHOTOGRAPHS[0]).convert("RGB"))
    (found, *_), (larger, *_) = map(detect_haar, (picture, cv2.resize(picture, None, fx=3, fy=3)))
    np.testing.assert_allclose(np.array(larger.box) / 3, found.box, atol=12)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("detector", "hog"), ("select_face", "all"), ("size", 7), ("num_frames", 0), ("margin", -0.1)],
)
def test_bad_settings_are_refused_with_their_value(setting, value):
    with pytest.raises(ValueError, match=rf"features\.face\.{setting} .*{value}"):
        FaceFeatures(**{setting: value})


@pytest.mark.parametrize("angle", [0.0, 20.0, -35.0])
def test_eyes_are_turned_level_around_the_center_of_the_face(angle):
    picture = np.zeros((120, 160, 3), np.uint8)
    across, down = np.cos(np.radians(angle)) * 20, np.sin(np.radians(angle)) * 20
    for sign in (-1, 1):
        cv2.circle(picture, (round(80 + sign * across), round(60 + sign * down)), 4, (255,) * 3, -1)
    turned = level_eyes(picture, Face(Box(50.0, 30.0, 110.0, 90.0), angle))
    left, top, right, bottom = extent(turned[..., 0] > 128)
    assert bottom - top <= 11 and right - left >= 46
    assert (left + right) / 2 == pytest.approx(80, abs=1.5)
    assert (top + bottom) / 2 == pytest.approx(60, abs=1.5)


class Detector:
    """Answers as YuNet does: box, then right eye, left eye, nose and mouth, then the score."""

    def setInputSize(self, size):
        self.size = size

    def detect(self, picture):
        assert picture.shape[1::-1] == self.size and picture[0, 0].tolist() == [3, 2, 1]
        found = [100, 50, 40, 60, 110, 70, 130, 80, 120, 90, 110, 100, 130, 100, 0.9]
        return 1, np.array([found], np.float32)


def test_yunet_gives_a_square_of_the_height_and_the_slope_of_the_eyes(monkeypatch):
    monkeypatch.setattr(face, "load_yunet", lambda model: Detector())
    picture = np.full((480, 640, 3), (1, 2, 3), np.uint8)
    (found,) = detect_yunet(picture, "weights")
    assert found.box == pytest.approx((180, 100, 300, 220))
    assert found.angle == pytest.approx(np.degrees(np.arctan2(10, 20)))


def test_yunet_finds_nothing_where_nothing_is(monkeypatch):
    monkeypatch.setattr(Detector, "detect", lambda self, picture: (0, None))
    monkeypatch.setattr(face, "load_yunet", lambda model: Detector())
    assert detect_yunet(noise(), "weights") == []


def test_yunet_without_weights_is_refused_with_the_cure():
    with pytest.raises(FileNotFoundError, match=r"features\.face\.model="):
        FaceFeatures(detector="yunet", model="none.onnx")


def test_other_weights_than_in_training_are_refused_wherever_they_lie(tmp_path):
    for name, content in (("here", b"same"), ("there", b"same"), ("other", b"other")):
        (tmp_path / name).write_bytes(content)
    trained = FaceFeatures(detector="yunet", model=str(tmp_path / "here"))
    moved = replace(trained, model=str(tmp_path / "there"))
    assert moved.model_sha256 == trained.model_sha256
    with pytest.raises(ValueError, match="give the same file"):
        replace(trained, model=str(tmp_path / "other"))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 60_000), (3000, 1)])
@pytest.mark.parametrize("detector", ["haar", "none"])
def test_pictures_of_a_pixel_are_no_problem(height, width, detector):
    settings = FaceFeatures(detector=detector, size=32)
    turned, crops, _ = settings.crops([np.full((height, width, 3), 9, np.uint8)])
    assert settings.cut(turned, crops).shape == (1, 32, 32, 3)
