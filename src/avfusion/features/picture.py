"""Pictures out of any file that Pillow can open: whole, upright, and in RGB of 8 bits.

Of a file of several pictures (animated GIF, PNG, WebP and AVIF, pages of a TIFF, the second view
of an MPO) the first one counts. What a file holds decides, not its suffix.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from avfusion.corpora.media import IMAGE_SUFFIXES, is_companion
from avfusion.features.source import Missing, Unreadable, reading

Picture = UInt8[np.ndarray, "height width 3"]
PICTURE_FORMATS = tuple("AVIF BMP GIF JPEG JPEG2000 PNG PPM QOI SGI SUN TIFF WEBP".split())
KEPT_PIXELS = 2**23  # a little more than those of 4K; larger pictures are reduced
# Measured: up to 4 bytes a pixel decoded, and 4 more in another mode; the decoders of some formats
# hold copies of their own.
BYTES = {"AVIF": 16, "HEIF": 16, "JPEG2000": 24, "WEBP": 16}
MOST_BYTES = 2**28  # while decoding; beside torch, a worker then stays below 1 GiB
# Names of the containers of pictures that phones write; AVIF is decoded by Pillow itself.
HEIF_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1".split())
AVIF_BRANDS = frozenset(b"avif avis".split())
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"qoif")
# Tags of TIFF, and values of theirs.
SUBFILE, REDUCED_COPY, BITS, PHOTOMETRIC, WHITE_IS_ZERO = 254, 1, 258, 262, 0
SCANS = {1: 6, 3: 10}  # of a progressive JPEG by its components, as libjpeg writes them


class Loss(NamedTuple):
    """How much of what a file promises cannot be decoded, and in which unit that is counted."""

    lost: float = 0.0
    promised: float = 1.0
    unit: str = "pictures"


class Shown(NamedTuple):
    """Pictures of a clip; a pixel of theirs was a square of ``reduced`` pixels in the file."""

    pictures: list[Picture]
    reduced: int = 1
    loss: Loss = Loss()


class Still(NamedTuple):
    """A picture as it is meant to be seen, by how much it is reduced, and the share that is lost.

    What is lost is black.
    """

    picture: Picture
    reduced: int = 1
    lost: float = 0.0


class Opened(NamedTuple):
    """A picture to decode: it is to be reduced by ``factor``, and ``left`` of that once decoded."""

    picture: Image.Image
    factor: int
    left: int


def reduction(width: int, height: int) -> int:
    """Return the power of two by which both sides of a picture are divided."""
    factor = 1
    while width * height > KEPT_PIXELS * factor**2:
        factor *= 2
    return factor


def is_still(path: Path) -> bool:
    """Say whether a file holds a picture that is no video, whatever its name.

    An animated GIF may be either: as a picture, its first one is seen; it is a video only where it
    is given as one (``video_path``). A stream of JPEGs, which begins like a photograph, is known by
    its suffix.
    """
    if path.suffix.lower() in (".mjpeg", ".mjpg") or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(64)
    webp = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    return webp or start.startswith(MAGIC) or bool(brands(start))


def brands(start: bytes) -> frozenset[bytes]:
    """Return which brands of pictures the first bytes of a file name."""
    known = HEIF_BRANDS | AVIF_BRANDS
    if start[4:8] != b"ftyp" or start[8:12] not in known:
        return frozenset()
    named = start[8 : int.from_bytes(start[:4], "big")]
    return known & {named[place : place + 4] for place in range(0, len(named), 4)}


def formats_of(path: Path) -> tuple[str, ...]:
    """Return the formats to try; for HEIF, load its plug-in, or refuse it where there is none."""
    with path.open("rb") as file:
        named = brands(file.read(64))
    if not named or named & AVIF_BRANDS:
        return PICTURE_FORMATS
    if find_spec("pillow_heif") is None:
        raise Unreadable(
            "a HEIF picture (.heic), which needs the package pillow-heif: install it, or convert "
            "the picture to JPEG",
            path,
        )
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return ("HEIF",)


def read_picture(path: Path) -> Still:
    """Return a picture as it is meant to be seen.

    The rotation in EXIF, or in a HEIF or AVIF container, is applied; any mode becomes RGB. Raises
    ``Unreadable`` where nothing can be decoded.
    """
    # Sizes are checked here, and metadata that are wrong are no reason to speak of.
    with reading(path), warnings.catch_warnings(action="ignore"):
        formats = formats_of(path)
        try:
            with first_picture(path, formats) as opened:
                return Still(as_seen(reduced(opened)), opened.factor)
        except Image.DecompressionBombError as error:
            raise Unreadable("picture too large", path, str(error)) from error
        except UnidentifiedImageError as error:
            raise Unreadable("cannot be decoded", path, "no known format of pictures") from error
        except (OSError, SyntaxError):  # what Pillow says of data that end early, or are wrong
            return salvaged(path, formats)


@contextmanager
def first_picture(path: Path, formats: tuple[str, ...]) -> Iterator[Opened]:
    """Open the picture of a file that counts, yet to be decoded.

    Pillow maps the pixels of a file that it knows by name into memory, and garbles those of an
    uncompressed TIFF that is to be turned: it is given the open file.
    """
    with path.open("rb") as file, Image.open(file, formats=formats) as picture:
        if picture.info.get("default_image"):  # of a PNG, for who cannot show its animation
            picture.seek(1)
        if isinstance(picture, TiffImageFile):
            skip_reduced_copies(picture)
        if picture.mode == "F" or (picture.mode == "I" and picture.format != "PPM"):
            detail = f"mode {picture.mode}, convert it to 8 or 16 bits"
            raise Unreadable("brightness of unknown range", path, detail)
        width, height = picture.size
        factor = reduction(width, height)
        picture.draft(None, (width // factor, height // factor))  # JPEG only: decodes less
        if needed(picture, width * height) > MOST_BYTES:
            detail = f"{width} x {height} pixels, shrink it first"
            raise Unreadable("picture too large", path, detail)
        yield Opened(picture, factor, max(1, factor * picture.width // width))


def skip_reduced_copies(picture: TiffImageFile) -> None:
    """Go to the first page that is not a small copy of another one, if there is any."""
    try:
        while picture.tag_v2.get(SUBFILE, 0) & REDUCED_COPY:
            picture.seek(picture.tell() + 1)
    except EOFError:
        picture.seek(0)


def needed(picture: Image.Image, pixels: int) -> int:
    """Return how many bytes decoding will hold at most; ``pixels`` are those of the file."""
    each = BYTES.get(picture.format or "", 8)
    held = each * picture.width * picture.height
    if isinstance(picture, JpegImageFile) and "progressive" in picture.info:
        most = max(across * down for _, across, down, _ in picture.layer)
        # All coefficients, of 16 bits; coarser colours have fewer.
        held += sum(2 * pixels * across * down // most for _, across, down, _ in picture.layer)
    return held


def reduced(opened: Opened) -> Image.Image:
    """Decode a picture, and return it as small as it is kept, gray or RGB."""
    return eight_bits(opened.picture).reduce(opened.left)


def eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture in a mode that can be averaged."""
    if picture.mode.startswith("I"):  # of 16 bits, which Pillow would cut off at 255
        values = np.asarray(picture)
        tags = picture.tag_v2 if isinstance(picture, TiffImageFile) else {}
        bits = tags.get(BITS, (16,))[0]
        gray = Image.fromarray((values // 2 ** (bits - 8)).astype(np.uint8))
        gray.info = picture.info
        return ImageOps.invert(gray) if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO else gray
    if picture.mode in ("L", "RGB"):
        return picture
    return picture.convert("L" if picture.mode == "1" else "RGB")


def as_seen(picture: Image.Image) -> Picture:
    """Return a decoded picture upright and in RGB."""
    return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def salvaged(path: Path, formats: tuple[str, ...]) -> Still:
    """Return what can be decoded of a picture that ends early, or has an error in its middle.

    It is decoded onto two backgrounds: where they show, nothing has been. A progressive JPEG is
    whole early, and then becomes finer: of that, the scans are counted.
    """
    values = []
    for background in (0, 255):
        with first_picture(path, formats) as opened, tolerant(opened.picture, background):
            opened.picture.load()
            values.append(np.array(opened.picture))
            small = reduced(opened)
    lost = values[0] != values[1]
    lost = lost.any(axis=2) if lost.ndim == 3 else lost
    share = max(float(lost.mean()), missing_scans(path, opened.picture))
    if share == 1:
        raise Unreadable("truncated", path, "none of its pixels is left")
    hidden = Image.fromarray(lost).resize(small.size, Image.Resampling.NEAREST)
    small.paste(Image.new(small.mode, small.size), mask=hidden)
    return Still(as_seen(small), opened.factor, share)


@contextmanager
def tolerant(picture: Image.Image, background: int) -> Iterator[None]:
    """Let a picture be decoded as far as it goes, onto a background."""
    assert isinstance(picture, ImageFile.ImageFile)
    prepare = picture.load_prepare

    def prepare_background() -> None:
        prepare()
        bands = picture.im.bands
        ink = background if bands == 1 else (background,) * bands
        picture.im.paste(ink, (0, 0, *picture.im.size))

    picture.load_prepare = prepare_background  # type: ignore[method-assign]
    if isinstance(picture, JpegImageFile) and "progressive" not in picture.info:
        picture._ended = True  # private: Pillow would end the data for libjpeg, which paints gray
    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def missing_scans(path: Path, picture: Image.Image) -> float:
    """Return the share of a progressive JPEG's scans that are not whole, nothing of others."""
    if not isinstance(picture, JpegImageFile) or "progressive" not in picture.info:
        return 0.0
    content = path.read_bytes()
    whole = content[content.rindex(b"\xff\xc2") :].count(b"\xff\xda") - 1
    usual = SCANS.get(len(picture.layer), max(SCANS.values()))
    return max(0, usual - whole) / usual


def read_frames(folder: Path, fractions: list[float]) -> Shown:
    """Return the frames of a folder, in the order of their numbers, at fractions of its length."""
    files = [path for path in folder.iterdir() if is_frame(path)]
    files.sort(
        key=lambda path: [int(n) if n.isdecimal() else n for n in re.split(r"(\d+)", path.name)]
    )
    if not files:
        raise Missing("no picture", folder)
    chosen = [files[min(int(f * len(files)), len(files) - 1)] for f in fractions]
    once = {path: read_picture(path) for path in dict.fromkeys(chosen)}
    frames = [once[path] for path in chosen]
    loss = Loss(sum(frame.lost for frame in frames), len(frames))
    return Shown([frame.picture for frame in frames], frames[0].reduced, loss)


def is_frame(path: Path) -> bool:
    """Say whether a file of a folder is a picture, and not what systems leave beside pictures."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_companion(path.name) and path.is_file()
