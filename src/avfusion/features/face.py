"""Face crops: the face of a clip that a network sees, cut out, level and resized."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.recording import Box
from avfusion.features.detectors import Face, distance, haar_faces, yunet_faces
from avfusion.features.picture import Picture


def level(picture: Picture, face: Face) -> Picture:
    """Turn a picture around the centre of a face until its eyes are level."""
    if not face.angle:
        return picture
    centre = ((face.box.left + face.box.right) / 2, (face.box.top + face.box.bottom) / 2)
    turn = cv2.getRotationMatrix2D(centre, face.angle, 1.0)
    height, width, _ = picture.shape
    return cv2.warpAffine(picture, turn, (width, height), flags=cv2.INTER_LINEAR)


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
    inside = picture[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]
    first = [round(max(-start, 0) * size / side) for start in (top, left)]
    last = [
        max(begin + 1, round((max(-start, 0) + length) * size / side))
        for begin, start, length in zip(first, (top, left), inside.shape, strict=False)
    ]
    how = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    small = cv2.resize(inside, (last[1] - first[1], last[0] - first[0]), interpolation=how)
    square = np.zeros((size, size, 3), np.uint8)
    square[first[0] : last[0], first[1] : last[1]] = small
    return square


DETECTORS = ("haar", "yunet", "none")
SEVERAL = ("largest", "central")


@dataclass(frozen=True)
class FaceFeatures:
    """How pictures become the squares of ``size`` pixels that a network sees.

    A detected face is cut out as a square, widened by ``margin`` times its side: of several in a
    picture the ``largest`` or the most ``central``, and in the other pictures of the clip the same
    person's. ``yunet`` knows where the eyes are, too, and turns them level; ``model`` is the path
    of its weights, ``model_sha256`` filled in from that file, or what it has to be. A clip without
    a find is used whole. Whole pictures keep their proportions: the shorter side is filled up with
    black. ``pictures`` is how many a clip has; a single picture is repeated.
    """

    detector: str = "none"
    size: int = 112
    pictures: int = 1
    margin: float = 0.3
    several: str = "largest"
    model: str | None = None
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(
                f"features.face.detector must be one of {DETECTORS}, got {self.detector!r}."
            )
        if self.detector == "yunet":
            object.__setattr__(self, "model_sha256", self.weights_digest())
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

    def weights_digest(self) -> str:
        """Return the SHA-256 of the detector's weights; refuse others than those before."""
        file = Path(self.model or "")
        if not file.is_file():
            raise FileNotFoundError(
                f"features.face.detector=yunet needs its weights, no file at {self.model}: set "
                "features.face.model=<face_detection_yunet_....onnx> (from OpenCV's model zoo), "
                "or face_model=<the file> to predict."
            )
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if self.model_sha256 not in (None, digest):
            raise ValueError(
                f"{file} holds other weights (SHA-256 {digest}) than the features were made with "
                f"({self.model_sha256}): give the same file."
            )
        return digest

    def crops(self, pictures: list[Picture]) -> tuple[list[Picture], list[Box], bool]:
        """Return the pictures, turned level, their squares to cut out, and whether any is found."""
        faces = [None] * len(pictures) if self.detector == "none" else self.follow(pictures)
        found = [index for index, face in enumerate(faces) if face is not None]
        turned, squares = [], []
        for index, picture in enumerate(pictures):
            nearest = min(found, key=lambda other: abs(other - index), default=None)
            face = None if nearest is None else faces[nearest]
            turned.append(picture if face is None else level(picture, face))
            square = whole(picture) if face is None else widened(face.box, self.margin, picture)
            squares.append(square)
        return turned, squares, bool(found)

    def find(self, picture: Picture) -> list[Face]:
        """Return all faces in a picture."""
        if self.detector == "haar":
            return haar_faces(picture)
        assert self.model is not None
        return yunet_faces(picture, self.model)

    def follow(self, pictures: list[Picture]) -> list[Face | None]:
        """Return the face of one person in each picture, None where it is not found."""
        once = {id(picture): picture for picture in pictures}  # a single one may be repeated
        found = {key: self.find(picture) for key, picture in once.items()}
        finds = [found[id(picture)] for picture in pictures]
        followed: list[Face | None] = [None] * len(pictures)
        all_of_them = [(n, face) for n, faces in enumerate(finds) for face in faces]
        if not all_of_them:
            return followed
        start, best = max(all_of_them, key=lambda pair: self.score(pair[1], pictures[pair[0]]))
        for way in (range(start, len(pictures)), range(start, -1, -1)):
            last = best
            for number in way:
                near = [face for face in finds[number] if distance(face.box, last.box) < last.width]
                if near:
                    gaps = [distance(face.box, last.box) for face in near]
                    followed[number] = last = near[gaps.index(min(gaps))]
        return followed

    def score(self, face: Face, picture: Picture) -> float:
        """Return what is largest for the face to choose."""
        return face.width if self.several == "largest" else -distance(face.box, whole(picture))

    def cut(
        self, pictures: list[Picture], crops: list[Box]
    ) -> UInt8[np.ndarray, "pictures size size 3"]:
        """Cut the crops out and resize them; what lies outside of a picture is black."""
        return np.stack([cut(p, c, self.size) for p, c in zip(pictures, crops, strict=True)])
