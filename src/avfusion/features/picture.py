"""Pictures out of any file that Pillow can open."""

import re
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from avfusion.corpora.unlabelled import PICTURES
from avfusion.features.source import Missing, Unreadable, reading

Picture = UInt8[np.ndarray, "height width 3"]
PICTURE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
KEPT_PIXELS = 2**23  # a little more than those of 4K; larger pictures are reduced
# Measured: up to 4 bytes a pixel decoded, and 4 more in another mode; WebP's decoder takes 16.
BYTES = {"WEBP": 16}
MOST_BYTES = 2**28  # while decoding; beside torch, a worker then stays below 1 GiB


class Shown(NamedTuple):
    """Pictures of a clip; a pixel of theirs was a square of ``reduced`` pixels in the file."""

    pictures: list[Picture]
    reduced: int = 1


def reduction(width: int, height: int) -> int:
    """Return the power of two by which both sides of a picture are divided."""
    factor = 1
    while width * height > KEPT_PIXELS * factor**2:
        factor *= 2
    return factor


def read_picture(path: Path) -> tuple[Picture, int]:
    """Return a picture as it is meant to be seen, and by how much it is reduced.

    The rotation in EXIF is applied, any mode becomes RGB.
    """
    size_is_checked_here = warnings.catch_warnings(
        action="ignore", category=Image.DecompressionBombWarning
    )
    with reading(path), size_is_checked_here:
        try:
            reduced, picture = decoded(path)
        except Image.DecompressionBombError as error:
            raise Unreadable("picture too large", path, str(error)) from error
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB")), reduced


def decoded(path: Path) -> tuple[int, Image.Image]:
    """Return by how much a picture is reduced, and the picture, gray or RGB."""
    with Image.open(path, formats=PICTURE_FORMATS) as picture:
        if picture.mode in ("I", "F"):
            raise Unreadable("brightness of unknown range", path, f"mode {picture.mode}")
        width, height = picture.size
        factor = reduction(width, height)
        picture.draft(None, (width // factor, height // factor))  # JPEG only: decodes less
        if needed(picture, width * height) > MOST_BYTES:
            detail = f"{width} x {height} pixels, shrink it first"
            raise Unreadable("picture too large", path, detail)
        left = max(1, factor * picture.width // width)
        return factor, eight_bits(picture).reduce(left)


def needed(picture: Image.Image, pixels: int) -> int:
    """Return how many bytes decoding will hold at most; ``pixels`` are those of the file."""
    each = BYTES.get(picture.format or "", 8)
    held = each * picture.width * picture.height
    if isinstance(picture, JpegImageFile) and "progressive" in picture.info:
        most = max(across * down for _, across, down, _ in picture.layer)
        # All coefficients, of 16 bits; coarser colours have fewer.
        held += sum(2 * pixels * across * down // most for _, across, down, _ in picture.layer)
    return held


def eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture in a mode that can be averaged."""
    if picture.mode.startswith("I;16"):  # Pillow would cut it off at 255
        gray = Image.fromarray((np.asarray(picture) // 256).astype(np.uint8))
        gray.info = picture.info
        return gray
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def read_frames(folder: Path, fractions: list[float]) -> Shown:
    """Return the frames of a folder, in the order of their numbers, at fractions of its length."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    files.sort(
        key=lambda path: [int(n) if n.isdecimal() else n for n in re.split(r"(\d+)", path.name)]
    )
    if not files:
        raise Missing("no picture", folder)
    chosen = [files[min(int(f * len(files)), len(files) - 1)] for f in fractions]
    frames, reductions = zip(*map(read_picture, chosen), strict=True)
    return Shown(list(frames), reductions[0])
