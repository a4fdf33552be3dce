"""Squares of pictures: around faces, level, and resized."""

import cv2
import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.recording import Box
from avfusion.features.detectors import Face
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
