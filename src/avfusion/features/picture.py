"""Pictures of any file that Pillow can open: whole, upright, and in RGB of 8 bits.

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
from avfusion.features.container import explain_failures
from avfusion.features.policies import Missing, Unreadable

Picture = UInt8[np.ndarray, "height width 3"]
PICTURE_FORMATS = tuple("AVIF BMP GIF JPEG JPEG2000 PNG PPM QOI SGI SUN TIFF WEBP".split())
MAX_KEPT_PIXELS = 2**23  # a little more than those of 4K; larger pictures are reduced
# Measured: up to 4 bytes a pixel decoded, and 4 more in another mode; the decoders of some formats
# hold copies of their own.
BYTES_PER_PIXEL = {"AVIF": 16, "HEIF": 16, "JPEG2000": 24, "WEBP": 16}
MAX_DECODING_BYTES = 2**28  # beside torch, a worker then stays below 1 GiB
# Names of the containers of pictures that phones write; AVIF is decoded by Pillow itself.
HEIF_BRANDS = frozenset(b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 msf1".split())
AVIF_BRANDS = frozenset(b"avif avis".split())
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP  ", b"qoif")
# Tags of TIFF, and values of theirs.
SUBFILE_TAG, REDUCED_COPY, BITS_TAG, PHOTOMETRIC_TAG, WHITE_IS_ZERO = 254, 1, 258, 262, 0
USUAL_SCANS = {1: 6, 3: 10}  # of a progressive JPEG by its components, as libjpeg writes them


class DecodingLoss(NamedTuple):
    """Share of what a file promises that cannot be decoded, and the unit that it is counted in."""

    lost: float = 0.0
    promised: float = 1.0
    unit: str = "pictures"


class DecodedFrames(NamedTuple):
    """Pictures of a clip; each pixel was a square of ``reduction`` pixels a side in the file."""

    pictures: list[Picture]
    reduction: int = 1
    loss: DecodingLoss = DecodingLoss()


class DecodedPicture(NamedTuple):
    """A picture as it is meant to be seen, and the share of it that is ``lost``, which is black.

    Each pixel was a square of ``reduction`` pixels a side in the file.
    """

    picture: Picture
    reduction: int = 1
    lost: float = 0.0


class _OpenPicture(NamedTuple):
    """A picture yet to be decoded.

    Its sides are to be divided by ``reduction``, and by ``remaining`` of that once it is decoded.
    """

    image: Image.Image
    reduction: int
    remaining: int


def choose_reduction(width: int, height: int) -> int:
    """Power of two by which both sides of a picture are divided."""
    reduction = 1
    while width * height > MAX_KEPT_PIXELS * reduction**2:
        reduction *= 2
    return reduction


def is_still(path: Path) -> bool:
    """Whether a file holds a picture that is no video, whatever its name.

    An animated GIF may be either: as a picture, its first one is seen; it is a video only where it
    is given as one (``video_path``). A stream of JPEGs, which begins like a photograph, is known by
    its suffix.
    """
    if path.suffix.lower() in (".mjpeg", ".mjpg") or not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(64)
    webp = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    return webp or start.startswith(SIGNATURES) or bool(_find_brands(start))


def _find_brands(start: bytes) -> frozenset[bytes]:
    """Brands of pictures that the first bytes of a file name."""
    known = HEIF_BRANDS | AVIF_BRANDS
    if start[4:8] != b"ftyp" or start[8:12] not in known:
        return frozenset()
    brands = start[8 : int.from_bytes(start[:4], "big")]
    return known & {brands[offset : offset + 4] for offset in range(0, len(brands), 4)}


def _choose_formats(path: Path) -> tuple[str, ...]:
    """Formats to try; for HEIF, its plug-in is loaded, or refused where there is none."""
    with path.open("rb") as file:
        brands = _find_brands(file.read(64))
    if not brands or brands & AVIF_BRANDS:
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


def read_picture(path: Path) -> DecodedPicture:
    """Read a picture as it is meant to be seen.

    The rotation in EXIF, or in a HEIF or AVIF container, is applied; any mode becomes RGB.

    Raises:
        Unreadable: where nothing can be decoded.
    """
    # Sizes are checked here, and metadata that are wrong are no reason to speak of.
    with explain_failures(path), warnings.catch_warnings(action="ignore"):
        formats = _choose_formats(path)
        try:
            with _open_picture(path, formats) as opened:
                return DecodedPicture(_to_upright_rgb(_decode_reduced(opened)), opened.reduction)
        except Image.DecompressionBombError as error:
            raise Unreadable("picture too large", path, str(error)) from error
        except UnidentifiedImageError as error:
            raise Unreadable("cannot be decoded", path, "no known format of pictures") from error
        except (OSError, SyntaxError):  # errors of Pillow for data that end early, or are wrong
            return _salvage_picture(path, formats)


@contextmanager
def _open_picture(path: Path, formats: tuple[str, ...]) -> Iterator[_OpenPicture]:
    """Open the picture of a file that counts, yet to be decoded.

    Pillow maps the pixels of a file that it knows by name into memory, and garbles those of an
    uncompressed TIFF that is to be turned: it is given the open file.
    """
    with path.open("rb") as file, Image.open(file, formats=formats) as image:
        if image.info.get("default_image"):  # of a PNG, for who cannot show its animation
            image.seek(1)
        if isinstance(image, TiffImageFile):
            _skip_reduced_copies(image)
        if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):
            detail = f"mode {image.mode}, convert it to 8 or 16 bits"
            raise Unreadable("brightness of unknown range", path, detail)

        width, height = image.size
        reduction = choose_reduction(width, height)
        image.draft(None, (width // reduction, height // reduction))  # JPEG only: decodes less
        if _estimate_bytes(image, width * height) > MAX_DECODING_BYTES:
            detail = f"{width} x {height} pixels, shrink it first"
            raise Unreadable("picture too large", path, detail)
        yield _OpenPicture(image, reduction, max(1, reduction * image.width // width))


def _skip_reduced_copies(image: TiffImageFile) -> None:
    """Go to the first page that is not a small copy of another one, if there is any."""
    try:
        while image.tag_v2.get(SUBFILE_TAG, 0) & REDUCED_COPY:
            image.seek(image.tell() + 1)
    except EOFError:
        image.seek(0)


def _estimate_bytes(image: Image.Image, pixels: int) -> int:
    """Bytes that decoding will hold at most; ``pixels`` are those of the file."""
    per_pixel = BYTES_PER_PIXEL.get(image.format or "", 8)
    count = per_pixel * image.width * image.height
    if isinstance(image, JpegImageFile) and "progressive" in image.info:
        finest = max(across * down for _, across, down, _ in image.layer)
        # All coefficients, of 16 bits; coarser colors have fewer.
        count += sum(2 * pixels * across * down // finest for _, across, down, _ in image.layer)
    return count


def _decode_reduced(opened: _OpenPicture) -> Image.Image:
    """Decode a picture as small as it is kept, gray or RGB."""
    return _to_eight_bits(opened.image).reduce(opened.remaining)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Convert a picture to a mode that can be averaged."""
    if image.mode.startswith("I"):  # of 16 bits, which Pillow would cut off at 255
        values = np.asarray(image)
        tags = image.tag_v2 if isinstance(image, TiffImageFile) else {}
        bits = tags.get(BITS_TAG, (16,))[0]
        gray = Image.fromarray((values // 2 ** (bits - 8)).astype(np.uint8))
        gray.info = image.info
        return ImageOps.invert(gray) if tags.get(PHOTOMETRIC_TAG) == WHITE_IS_ZERO else gray

    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _to_upright_rgb(image: Image.Image) -> Picture:
    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def _salvage_picture(path: Path, formats: tuple[str, ...]) -> DecodedPicture:
    """Decode what is left of a picture that ends early, or has an error in its middle.

    It is decoded onto two backgrounds: where they show, nothing has been. A progressive JPEG is
    whole early, and then becomes finer: of that, the scans are counted.
    """
    values = []
    for background in (0, 255):
        with (
            _open_picture(path, formats) as opened,
            _tolerate_damage(opened.image, background),
        ):
            opened.image.load()
            values.append(np.array(opened.image))
            small = _decode_reduced(opened)

    lost = values[0] != values[1]
    lost = lost.any(axis=2) if lost.ndim == 3 else lost
    share = max(float(lost.mean()), _measure_missing_scans(path, opened.image))
    if share == 1:
        raise Unreadable("truncated", path, "none of its pixels is left")

    mask = Image.fromarray(lost).resize(small.size, Image.Resampling.NEAREST)
    small.paste(Image.new(small.mode, small.size), mask=mask)
    return DecodedPicture(_to_upright_rgb(small), opened.reduction, share)


@contextmanager
def _tolerate_damage(image: Image.Image, background: int) -> Iterator[None]:
    """Let a picture be decoded as far as it goes, onto a background."""
    assert isinstance(image, ImageFile.ImageFile)
    prepare = image.load_prepare

    def prepare_background() -> None:
        prepare()
        bands = image.im.bands
        ink = background if bands == 1 else (background,) * bands
        image.im.paste(ink, (0, 0, *image.im.size))

    image.load_prepare = prepare_background  # type: ignore[method-assign]
    if isinstance(image, JpegImageFile) and "progressive" not in image.info:
        image._ended = True  # private: Pillow would end the data for libjpeg, which paints gray

    before, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _measure_missing_scans(path: Path, image: Image.Image) -> float:
    """Share of a progressive JPEG's scans that are not whole, zero of other pictures."""
    if not isinstance(image, JpegImageFile) or "progressive" not in image.info:
        return 0.0
    content = path.read_bytes()
    whole = content[content.rindex(b"\xff\xc2") :].count(b"\xff\xda") - 1
    usual = USUAL_SCANS.get(len(image.layer), max(USUAL_SCANS.values()))
    return max(0, usual - whole) / usual


def read_frame_folder(folder: Path, fractions: list[float]) -> DecodedFrames:
    """Read the frames of a folder, in the order of their numbers, at fractions of its length.

    Raises:
        Missing: the folder holds no picture.
        Unreadable: one of the frames cannot be decoded.
    """
    files = [path for path in folder.iterdir() if is_frame(path)]
    files.sort(
        key=lambda path: [int(n) if n.isdecimal() else n for n in re.split(r"(\d+)", path.name)]
    )
    if not files:
        raise Missing("no picture", folder)

    chosen = [files[min(int(f * len(files)), len(files) - 1)] for f in fractions]
    decoded = {path: read_picture(path) for path in dict.fromkeys(chosen)}
    frames = [decoded[path] for path in chosen]
    loss = DecodingLoss(sum(frame.lost for frame in frames), len(frames))
    return DecodedFrames([frame.picture for frame in frames], frames[0].reduction, loss)


def is_frame(path: Path) -> bool:
    """Whether a file of a folder is a picture, and none that systems leave beside pictures."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_companion(path.name) and path.is_file()
