"""Pictures out of any file that Pillow can open."""

import re
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from avfusion.corpora.unlabelled import PICTURES
from avfusion.features.source import Missing, Unreadable, reading

Picture = UInt8[np.ndarray, "height width 3"]
PICTURE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 2**25  # of a picture, else it would not fit into the memory of a worker


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse a picture that would not fit into memory."""
    if width * height > MOST_PIXELS:
        raise Unreadable("picture too large", path, f"{width} x {height} pixels, shrink it first")


def read_picture(path: Path) -> Picture:
    """Return a picture as it is meant to be seen: EXIF rotation applied, any mode as RGB."""
    size_is_checked_here = warnings.catch_warnings(
        action="ignore", category=Image.DecompressionBombWarning
    )
    with reading(path), size_is_checked_here, Image.open(path, formats=PICTURE_FORMATS) as picture:
        check_size(path, *picture.size)
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("I", "F"):
            raise Unreadable("brightness of unknown range", path, f"mode {upright.mode}")
        if upright.mode.startswith("I;16"):  # Pillow would cut it off at 255
            upright = Image.fromarray((np.asarray(upright) // 256).astype(np.uint8))
        return np.asarray(upright.convert("RGB"))


def read_frames(folder: Path, fractions: list[float]) -> list[Picture]:
    """Return the frames of a folder, in the order of their numbers, at fractions of its length."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURES]
    files.sort(
        key=lambda path: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", path.name)]
    )
    if not files:
        raise Missing("no picture", folder)
    return [read_picture(files[min(int(f * len(files)), len(files) - 1)]) for f in fractions]
