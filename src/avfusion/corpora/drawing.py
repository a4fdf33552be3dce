"""Drawn faces of the cocktail party: few strokes, which differ in size, skin and expression."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from avfusion.corpora.recording import Box

SIDE = 112  # pixels of a picture
CELLS = 2  # the picture is a grid of 2 x 2 cells for faces
RADII = {"child": 14.0, "woman": 19.0, "man": 24.5}  # pixels
FACE_ASPECT = 1.15  # height of a face over its width
MAX_SHIFT = 2.0  # pixels that a face strays from the center of its cell
PUPIL_COLOR = (20, 20, 20)
BROW_COLOR = (30, 20, 10)
LIP_COLOR = (120, 0, 0)
OPEN_MOUTH_COLOR = (90, 0, 0)
# How far the inner end of a brow moves down, in radii of the face.
BROWS = {"pleased": 0.0, "down": -0.18, "cross": 0.2, "open": -0.1}


class Look(NamedTuple):
    """Appearance of a subject in all pictures: color of the skin, radius in pixels."""

    skin: tuple[int, int, int]
    radius: float


def draw_look(rng: np.random.Generator, kind: str) -> Look:
    """Draw the look of a subject at random; ``kind`` is one of ``RADII``."""
    light, tint = rng.uniform(0.55, 1.05), rng.uniform(0.93, 1.07, 3)
    red, green, blue = np.clip(np.array([225, 185, 150]) * light * tint, 0, 255).astype(int)
    return Look((int(red), int(green), int(blue)), RADII[kind] * rng.uniform(0.94, 1.06))


def draw_party(
    rng: np.random.Generator,
    looks: list[Look],
    expressions: list[str],
    openings: Sequence[float] | None = None,
    aroused: Sequence[bool] | None = None,
) -> tuple[Image.Image, list[Box]]:
    """Draw some faces in a picture with a plain background.

    Args:
        expressions: keys of ``BROWS``, one per face.
        openings: how wide mouths stand open, from 0 to 1, in place of the expressions' mouths.
        aroused: which of the expressions' mouths gape; by default none.

    Returns:
        The picture, and the boxes of the faces in pixels.
    """
    red, green, blue = (int(value) for value in rng.integers(60, 200, 3))
    picture = Image.new("RGB", (SIDE, SIDE), (red, green, blue))
    pencil, cell_side = ImageDraw.Draw(picture), SIDE / CELLS
    cells = rng.permutation(CELLS**2)[: len(looks)]

    boxes = []
    for face, (look, expression, cell) in enumerate(zip(looks, expressions, cells, strict=True)):
        center = (np.array([cell % CELLS, cell // CELLS]) + 0.5) * cell_side
        x, y = center + rng.uniform(-MAX_SHIFT, MAX_SHIFT, 2)
        radius = look.radius * rng.uniform(0.97, 1.03)
        box = Box(x - radius, y - radius * FACE_ASPECT, x + radius, y + radius * FACE_ASPECT)

        pencil.ellipse(box, fill=look.skin)
        _draw_eyes(pencil, x, y, radius, BROWS[expression])
        mouth = y + radius * 0.5
        if openings is not None:
            _draw_open_mouth(pencil, x, mouth, radius, openings[face])
        elif aroused is not None and aroused[face]:
            _draw_gaping_mouth(pencil, x, mouth, radius, expression)
        else:
            _draw_mouth(pencil, x, mouth, radius, expression)
        boxes.append(box)

    return picture, boxes


def _draw_eyes(pencil: ImageDraw.ImageDraw, x: float, y: float, radius: float, brow: float) -> None:
    """Draw both eyes and the brows above them."""
    y, pupil, stroke = y - radius * 0.25, max(1.2, radius * 0.12), max(1, int(radius * 0.12))
    for side in (-1, 1):
        eye = x + side * radius * 0.4
        pencil.ellipse([eye - pupil, y - pupil, eye + pupil, y + pupil], fill=PUPIL_COLOR)

        inner, outer, height = x + side * radius * 0.2, x + side * radius * 0.64, y - radius * 0.3
        ends = [inner, height + brow * radius, outer, height - brow * radius / 2]
        pencil.line(ends, fill=BROW_COLOR, width=stroke)


def _draw_mouth(
    pencil: ImageDraw.ImageDraw, x: float, y: float, radius: float, expression: str
) -> None:
    """Draw a mouth that turns up, turns down, is straight or stands open."""
    half, stroke = radius * 0.5, max(1, int(radius * 0.12))
    if expression == "pleased":
        bow = [x - half, y - radius * 0.45, x + half, y + radius * 0.2]
        pencil.arc(bow, 20, 160, fill=LIP_COLOR, width=stroke)
    elif expression == "down":
        bow = [x - half, y - radius * 0.05, x + half, y + radius * 0.6]
        pencil.arc(bow, 200, 340, fill=LIP_COLOR, width=stroke)
    elif expression == "cross":
        pencil.line([x - half, y, x + half, y], fill=LIP_COLOR, width=stroke)
    else:
        hole = [x - half / 2, y - radius * 0.22, x + half / 2, y + radius * 0.25]
        pencil.ellipse(hole, fill=OPEN_MOUTH_COLOR)


def _draw_gaping_mouth(
    pencil: ImageDraw.ImageDraw, x: float, y: float, radius: float, expression: str
) -> None:
    """Draw the same mouth as an aroused face has it: open, or wider open, in its shape."""
    half = radius * 0.5
    if expression == "pleased":
        bow = [x - half, y - radius * 0.5, x + half, y + radius * 0.45]
        pencil.chord(bow, 0, 180, fill=OPEN_MOUTH_COLOR)
    elif expression == "down":
        bow = [x - half, y - radius * 0.15, x + half, y + radius * 0.8]
        pencil.chord(bow, 180, 360, fill=OPEN_MOUTH_COLOR)
    elif expression == "cross":
        gap = [x - half, y - radius * 0.16, x + half, y + radius * 0.16]
        pencil.rectangle(gap, fill=OPEN_MOUTH_COLOR)
    else:
        hole = [x - radius * 0.34, y - radius * 0.3, x + radius * 0.34, y + radius * 0.48]
        pencil.ellipse(hole, fill=OPEN_MOUTH_COLOR)


def _draw_open_mouth(
    pencil: ImageDraw.ImageDraw, x: float, y: float, radius: float, opening: float
) -> None:
    """Draw a mouth that is nearly shut at an opening of 0, and wide open at 1."""
    half, high = radius * 0.3, radius * (0.03 + 0.37 * opening)
    pencil.ellipse([x - half, y - high, x + half, y + high], fill=OPEN_MOUTH_COLOR)
