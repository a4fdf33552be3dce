"""Finding a face and cutting it out."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.recording import Box
from avfusion.features.media import Picture

DETECTORS = ("haar", "none")
SEVERAL = ("largest", "central")
DETECTION_SIDE = 320  # pixels; Haar's time grows with the area, its finds do not


@dataclass(frozen=True)
class FaceFeatures:
    """How pictures become the squares of ``size`` pixels that a network sees.

    With ``detector="haar"`` a face is cut out as a square, widened by ``margin`` times its side:
    of several in a picture the ``largest`` or the most ``central``, and in the other pictures of
    the clip the same person's. A clip without a find is used whole. Whole pictures keep their
    proportions: the shorter side is filled up with black. ``pictures`` is how many a clip has; a
    single picture is repeated.
    Viola and Jones, 2001, https://doi.org/10.1109/CVPR.2001.990517.
    """

    detector: str = "none"
    size: int = 112
    pictures: int = 1
    margin: float = 0.3
    several: str = "largest"

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(
                f"features.face.detector must be one of {DETECTORS}, got {self.detector!r}."
            )
        if self.several not in SEVERAL:
            raise ValueError(
                f"features.face.several must be one of {SEVERAL}, got {self.several!r}."
            )
        if self.size % 2:
            raise ValueError(f"features.face.size must be even, got {self.size}.")
        for name, least in (("size", 8), ("pictures", 1), ("margin", 0)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"features.face.{name} must be at least {least}, got {getattr(self, name)}."
                )

    def crops(self, pictures: list[Picture]) -> tuple[list[Box], bool]:
        """Return the square to cut out of each picture, and whether any face was found."""
        finds = self.follow(pictures) if self.detector == "haar" else [None] * len(pictures)
        found = [index for index, find in enumerate(finds) if find is not None]
        squares = []
        for index, picture in enumerate(pictures):
            nearest = min(found, key=lambda other: abs(other - index), default=None)
            find = None if nearest is None else finds[nearest]
            squares.append(whole(picture) if find is None else widened(find, self.margin, picture))
        return squares, bool(found)

    def follow(self, pictures: list[Picture]) -> list[Box | None]:
        """Return the face of one person in each picture, None where it is not found."""
        finds = [find_faces(picture) for picture in pictures]
        followed: list[Box | None] = [None] * len(pictures)
        numbers = [number for number, faces in enumerate(finds) for _ in faces]
        if not numbers:
            return followed
        faces = [face for found in finds for face in found]
        scores = [self.score(face, pictures[n]) for face, n in zip(faces, numbers, strict=True)]
        best = scores.index(max(scores))
        start = numbers[best]
        for way in (range(start, len(pictures)), range(start, -1, -1)):
            last = faces[best]
            for number in way:
                near = [face for face in finds[number] if distance(face, last) < width(last)]
                if near:
                    last = min(near, key=lambda face, last=last: distance(face, last))  # type: ignore[misc]
                    followed[number] = last
        return followed

    def score(self, face: Box, picture: Picture) -> float:
        """Return what is largest for the face to choose."""
        return width(face) if self.several == "largest" else -distance(face, whole(picture))

    def cut(
        self, pictures: list[Picture], crops: list[Box]
    ) -> UInt8[np.ndarray, "pictures size size 3"]:
        """Cut the crops out and resize them; what lies outside of a picture is black."""
        return np.stack([cut(p, c, self.size) for p, c in zip(pictures, crops, strict=True)])


def whole(picture: Picture) -> Box:
    """Return the smallest square around a picture."""
    height, width, _ = picture.shape
    side, centre_x, centre_y = max(height, width), width / 2, height / 2
    return Box(centre_x - side / 2, centre_y - side / 2, centre_x + side / 2, centre_y + side / 2)


def widened(face: Box, margin: float, picture: Picture) -> Box:
    """Return the square around a face, moved (and where need be shrunk) into the picture."""
    height, width, _ = picture.shape
    side = min((face.right - face.left) * (1 + 2 * margin), height, width)
    left = min(max((face.left + face.right - side) / 2, 0), width - side)
    top = min(max((face.top + face.bottom - side) / 2, 0), height - side)
    return Box(left, top, left + side, top + side)


def cut(picture: Picture, crop: Box, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Cut one square out and resize it."""
    left, top, side = round(crop.left), round(crop.top), max(1, round(crop.right - crop.left))
    height, width, _ = picture.shape
    square = np.zeros((side, side, 3), np.uint8)
    inside = picture[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]
    rows, columns, _ = inside.shape
    square[max(-top, 0) :, max(-left, 0) :][:rows, :columns] = inside
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(square, (size, size), interpolation=how)


def width(box: Box) -> float:
    """Return the width of a box."""
    return box.right - box.left


def distance(one: Box, other: Box) -> float:
    """Return the distance between the centres of two boxes."""
    return (
        math.hypot(
            one.left + one.right - other.left - other.right,
            one.top + one.bottom - other.top - other.bottom,
        )
        / 2
    )


def find_faces(picture: Picture) -> list[Box]:
    """Return all faces, looked for on a small copy."""
    scale = min(1.0, DETECTION_SIDE / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    gray = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    faces = haar().detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24))
    return [Box(x, y, x + w, y + h) for x, y, w, h in (np.array(face) / scale for face in faces)]


@lru_cache
def haar() -> cv2.CascadeClassifier:
    """Load the frontal face cascade that OpenCV ships."""
    cv2.setNumThreads(1)
    cascades = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(cascades / "haarcascade_frontalface_default.xml"))
