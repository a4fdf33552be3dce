"""Finding faces."""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.recording import Box
from avfusion.features.picture import Picture

DETECTION_SIDE = 320  # pixels; a detector's time grows with the area, its finds do not


class Face(NamedTuple):
    """A face in pixels of its picture; its eyes slope by ``angle`` degrees, down to the right."""

    box: Box
    angle: float = 0.0

    @property
    def width(self) -> float:
        """Return the width in pixels."""
        return self.box.right - self.box.left


def distance(one: Box, other: Box) -> float:
    """Return the distance between the centres of two boxes."""
    across = one.left + one.right - other.left - other.right
    down = one.top + one.bottom - other.top - other.bottom
    return math.hypot(across, down) / 2


def small_copy(picture: Picture) -> tuple[UInt8[np.ndarray, "rows columns 3"], float]:
    """Return a copy to look at, and the factor by which it is smaller."""
    height, width, _ = picture.shape
    scale = min(1.0, DETECTION_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def haar_faces(picture: Picture) -> list[Face]:
    """Return all upright frontal faces.

    Viola and Jones, 2001, https://doi.org/10.1109/CVPR.2001.990517.
    """
    small, scale = small_copy(picture)
    gray = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    found = haar().detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24))
    sides = [np.array(face) / scale for face in found]
    return [Face(Box(x, y, x + width, y + height)) for x, y, width, height in sides]


@lru_cache
def haar() -> cv2.CascadeClassifier:
    """Load the frontal face cascade that OpenCV ships."""
    cv2.setNumThreads(1)
    cascades = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(cascades / "haarcascade_frontalface_default.xml"))


def yunet_faces(picture: Picture, model: str) -> list[Face]:
    """Return all faces with the slope of their eyes; the crop is a square of their height.

    Wu et al., 2023, https://doi.org/10.1007/s11633-023-1423-y.
    """
    small, scale = small_copy(picture)
    detector = yunet(model)
    detector.setInputSize((small.shape[1], small.shape[0]))
    _, found = detector.detect(np.ascontiguousarray(small[..., ::-1]))  # it wants blue first
    faces = []
    for x, y, width, height, *points in () if found is None else found[:, :8] / scale:
        one, other = sorted((points[:2], points[2:]))
        angle = math.degrees(math.atan2(other[1] - one[1], other[0] - one[0]))
        middle, side = x + width / 2, max(width, height)
        box = Box(middle - side / 2, y, middle + side / 2, y + side)
        faces.append(Face(Box(*map(float, box)), angle))
    return faces


@lru_cache
def yunet(model: str) -> cv2.FaceDetectorYN:
    """Load the detector from its weights."""
    cv2.setNumThreads(1)
    return cv2.FaceDetectorYN.create(model, "", (DETECTION_SIDE, DETECTION_SIDE))
