"""Face crops: the face of a clip that a network sees, found, cut out, level and resized."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.recording import Box
from avfusion.features.picture import Picture
from avfusion.files import hash_file

FRAMES = "frames"  # the stream of face crops in a store
DETECTORS = ("haar", "yunet", "none")
FACE_CHOICES = ("largest", "central")  # of several in a picture
DETECTION_SIZE = 320  # pixels of a side; a detector's time grows with the area, its finds do not


class Face(NamedTuple):
    """A face in pixels of its picture; its eyes slope by ``angle`` degrees, down to the right."""

    box: Box
    angle: float = 0.0

    @property
    def width(self) -> float:
        """In pixels."""
        return self.box.right - self.box.left


@dataclass(frozen=True)
class FaceFeatures:
    """Face crops: squares of ``size`` pixels around the speaker's face, or whole pictures.

    A detected face is cut out as a square, widened by ``margin`` times its side. Of several in a
    picture ``select_face`` takes the ``largest`` or the most ``central``, and in the other pictures
    of the clip the same person's. ``yunet`` knows where the eyes are, too, and turns them level;
    ``model`` is the path of its weights, ``model_sha256`` filled in from that file, or what it has
    to be. A clip in which no face is found is used whole. Whole pictures keep their proportions:
    the shorter side is filled up with black. A clip has ``num_frames``, evenly spaced in time; a
    single picture is repeated.
    """

    detector: str = "none"
    size: int = 112
    num_frames: int = 1
    margin: float = 0.3
    select_face: str = "largest"
    model: str | None = None
    model_sha256: str | None = None

    def __post_init__(self) -> None:
        if self.detector not in DETECTORS:
            raise ValueError(
                f"features.face.detector must be one of {DETECTORS}, got {self.detector!r}."
            )
        if self.detector == "yunet":
            object.__setattr__(self, "model_sha256", self._check_weights())
        if self.select_face not in FACE_CHOICES:
            raise ValueError(
                f"features.face.select_face must be one of {FACE_CHOICES}, got "
                f"{self.select_face!r}."
            )
        if self.size % 2:
            raise ValueError(f"features.face.size must be even, got {self.size}.")

        for name, minimum in (("size", 8), ("num_frames", 1), ("margin", 0)):
            if getattr(self, name) < minimum:
                raise ValueError(
                    f"features.face.{name} must be at least {minimum}, got {getattr(self, name)}."
                )

    def _check_weights(self) -> str:
        file = Path(self.model or "")
        if not file.is_file():
            raise FileNotFoundError(
                f"features.face.detector=yunet needs its weights, no file at {self.model}: set "
                "features.face.model=<face_detection_yunet_....onnx> (from OpenCV's model zoo), "
                "or face_model=<the file> to predict."
            )

        digest = hash_file(file)
        if self.model_sha256 not in (None, digest):
            raise ValueError(
                f"{file} holds other weights (SHA-256 {digest}) than the features were made with "
                f"({self.model_sha256}): give the same file."
            )
        return digest

    def crops(self, pictures: list[Picture]) -> tuple[list[Picture], list[Box], bool]:
        """Pictures turned level, the squares to cut out of them, and whether a face was found.

        A picture without a face is cropped as the nearest one that has one.
        """
        faces = [None] * len(pictures) if self.detector == "none" else self._track_face(pictures)
        found = [index for index, face in enumerate(faces) if face is not None]

        turned, squares = [], []
        for index, picture in enumerate(pictures):
            nearest = min(found, key=lambda other: abs(other - index), default=None)
            face = None if nearest is None else faces[nearest]
            if face is None:
                turned.append(picture)
                squares.append(find_enclosing_square(picture))
            else:
                turned.append(level_eyes(picture, face))
                squares.append(widen_crop(face.box, self.margin, picture))
        return turned, squares, bool(found)

    def cut(
        self, pictures: list[Picture], crops: list[Box]
    ) -> UInt8[np.ndarray, "pictures size size 3"]:
        """Cut the crops out and resize them; what lies outside of a picture is black."""
        return np.stack([cut_crop(p, c, self.size) for p, c in zip(pictures, crops, strict=True)])

    def _detect(self, picture: Picture) -> list[Face]:
        if self.detector == "haar":
            return detect_haar(picture)
        assert self.model is not None
        return detect_yunet(picture, self.model)

    def _track_face(self, pictures: list[Picture]) -> list[Face | None]:
        """The face of one person in each picture, None where it is not found."""
        distinct = {id(picture): picture for picture in pictures}  # a single one may be repeated
        detected = {key: self._detect(picture) for key, picture in distinct.items()}
        candidates = [detected[id(picture)] for picture in pictures]
        tracked: list[Face | None] = [None] * len(pictures)
        numbered = [(n, face) for n, faces in enumerate(candidates) for face in faces]
        if not numbered:
            return tracked

        start, best = max(numbered, key=lambda pair: self._score(pair[1], pictures[pair[0]]))
        for order in (range(start, len(pictures)), range(start, -1, -1)):
            last = best
            for number in order:
                near = [
                    face
                    for face in candidates[number]
                    if measure_center_distance(face.box, last.box) < last.width
                ]
                if near:
                    distances = [measure_center_distance(face.box, last.box) for face in near]
                    tracked[number] = last = near[distances.index(min(distances))]
        return tracked

    def _score(self, face: Face, picture: Picture) -> float:
        if self.select_face == "largest":
            return face.width
        return -measure_center_distance(face.box, find_enclosing_square(picture))


def detect_haar(picture: Picture) -> list[Face]:
    """Find all upright frontal faces with the cascade that OpenCV ships.

    Viola and Jones, 2001, https://doi.org/10.1109/CVPR.2001.990517.
    """
    small, scale = _shrink(picture)
    gray = cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    found = load_haar().detectMultiScale(gray, scaleFactor=1.1, minNeighbors=5, minSize=(24, 24))
    sides = [np.array(face) / scale for face in found]
    return [Face(Box(x, y, x + width, y + height)) for x, y, width, height in sides]


@lru_cache
def load_haar() -> cv2.CascadeClassifier:
    """Load the cascade of frontal faces."""
    cv2.setNumThreads(1)
    cascades = Path(cv2.__file__).parent / "data"
    return cv2.CascadeClassifier(str(cascades / "haarcascade_frontalface_default.xml"))


def detect_yunet(picture: Picture, model: str) -> list[Face]:
    """Find all faces with the slope of their eyes; a box is a square of the face's height.

    Wu et al., 2023, https://doi.org/10.1007/s11633-023-1423-y.
    """
    small, scale = _shrink(picture)
    detector = load_yunet(model)
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
def load_yunet(model: str) -> cv2.FaceDetectorYN:
    """Load the detector from the file of its weights."""
    cv2.setNumThreads(1)
    return cv2.FaceDetectorYN.create(model, "", (DETECTION_SIZE, DETECTION_SIZE))


def _shrink(picture: Picture) -> tuple[UInt8[np.ndarray, "rows columns 3"], float]:
    height, width, _ = picture.shape
    scale = min(1.0, DETECTION_SIZE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def measure_center_distance(one: Box, other: Box) -> float:
    """Distance between the centers of two boxes."""
    across = one.left + one.right - other.left - other.right
    down = one.top + one.bottom - other.top - other.bottom
    return math.hypot(across, down) / 2


def level_eyes(picture: Picture, face: Face) -> Picture:
    """Turn a picture around the center of a face until its eyes are level."""
    if not face.angle:
        return picture
    center = ((face.box.left + face.box.right) / 2, (face.box.top + face.box.bottom) / 2)
    rotation = cv2.getRotationMatrix2D(center, face.angle, 1.0)
    height, width, _ = picture.shape
    return cv2.warpAffine(picture, rotation, (width, height), flags=cv2.INTER_LINEAR)


def find_enclosing_square(picture: Picture) -> Box:
    """Smallest square around a whole picture."""
    height, width, _ = picture.shape
    side, center_x, center_y = max(height, width), width / 2, height / 2
    return Box(center_x - side / 2, center_y - side / 2, center_x + side / 2, center_y + side / 2)


def widen_crop(face: Box, margin: float, picture: Picture) -> Box:
    """Widen the square around a face, moved (and where need be shrunk) into the picture."""
    height, width, _ = picture.shape
    side = min((face.right - face.left) * (1 + 2 * margin), height, width)
    left = min(max((face.left + face.right - side) / 2, 0), width - side)
    top = min(max((face.top + face.bottom - side) / 2, 0), height - side)
    return Box(left, top, left + side, top + side)


def cut_crop(picture: Picture, crop: Box, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Cut one square out of a picture, filled up with black, and resize it."""
    left, top, side = round(crop.left), round(crop.top), max(1, round(crop.right - crop.left))
    height, width, _ = picture.shape
    inside = picture[max(top, 0) : min(top + side, height), max(left, 0) : min(left + side, width)]

    first = [round(max(-start, 0) * size / side) for start in (top, left)]
    last = [
        max(begin + 1, round((max(-start, 0) + length) * size / side))
        for begin, start, length in zip(first, (top, left), inside.shape, strict=False)
    ]
    interpolation = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    resized = cv2.resize(
        inside, (last[1] - first[1], last[0] - first[0]), interpolation=interpolation
    )

    square = np.zeros((size, size, 3), np.uint8)
    square[first[0] : last[0], first[1] : last[1]] = resized
    return square
