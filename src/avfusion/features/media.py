"""Sound and pictures out of any file that PyAV or Pillow can open."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps

from avfusion.features.mfcc import SAMPLE_RATE

Picture = UInt8[np.ndarray, "height width 3"]
PICTURES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
# Containers whose header states the true duration; others only estimate it.
EXACT = {"flac", "mov,mp4,m4a,3gp,3g2,mj2"}
ENDLESS = 2**31 - 2**16  # bytes; a RIFF header that states more was written to a pipe


class Unreadable(ValueError):
    """A file that cannot be used; reports count its ``reason``, the message has the detail."""

    def __init__(self, reason: str, path: Path, detail: str = "") -> None:
        super().__init__(f"{path.name}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a reason that names the file."""
    try:
        check_start(path)
        yield
    except Unreadable:
        raise
    except Exception as error:  # decoders raise anything, and none of it may end a long run
        raise Unreadable("cannot be decoded", path, str(error)) from error


def check_start(path: Path) -> None:
    """Refuse a file whose first bytes tell that it cannot be whole."""
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise Unreadable("empty file", path)
    if start.startswith(b"version https://git-lfs"):
        raise Unreadable("git-LFS pointer, run git lfs pull", path)
    size, promised = path.stat().st_size, 8 + int.from_bytes(start[4:8], "little")
    if start.startswith(b"RIFF") and size < 0.9 * promised < ENDLESS:
        raise Unreadable("truncated", path, f"{size} of {promised} bytes")


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """Open a media file; metadata in odd encodings are no reason to fail."""
    with reading(path), av.open(str(path), metadata_errors="replace") as container:
        yield container


def read_sound(path: Path) -> tuple[Float32[np.ndarray, "samples"], float]:
    """Return mono sound at 16 kHz in [-1, 1], and the time in seconds at which it starts."""
    with opened(path) as container:
        if not container.streams.audio:
            raise Unreadable("no sound", path)
        stream = container.streams.audio[0]
        promised = float((stream.duration or 0) * (stream.time_base or 0))
        resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
        blocks, start = [np.zeros(0, np.float32)], None
        for frame in container.decode(stream):
            start = frame.time or 0.0 if start is None else start
            blocks += [mixed(block) for block in resampler.resample(frame)]
        if start is not None:
            blocks += [mixed(block) for block in resampler.resample(None)]
        sound = np.concatenate(blocks)
        check_sound(path, sound, promised if container.format.name in EXACT else 0.0)
    return sound, start or 0.0


def mixed(block: av.AudioFrame) -> Float32[np.ndarray, "samples"]:
    """Return the mean of all channels; FFmpeg's own mix would be louder than each of them."""
    return block.to_ndarray().reshape(-1, block.layout.nb_channels).mean(axis=1)


def check_sound(path: Path, sound: Float32[np.ndarray, "samples"], promised: float) -> None:
    """Refuse a sound that is empty, not finite, or much shorter than the promised seconds."""
    seconds = len(sound) / SAMPLE_RATE
    if not len(sound):
        raise Unreadable("empty sound track", path)
    if seconds < 0.9 * promised - 0.1:
        raise Unreadable("truncated", path, f"{seconds:.2f} s of {promised:.2f} s")
    if not np.isfinite(sound).all():
        raise Unreadable("samples that are not finite", path)


def read_picture(path: Path) -> Picture:
    """Return a picture as it is meant to be seen: EXIF rotation applied, any mode as RGB."""
    with reading(path), Image.open(path) as picture:
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
        raise Unreadable("no picture", folder)
    return [read_picture(files[min(int(f * len(files)), len(files) - 1)]) for f in fractions]


def read_video(path: Path, times: list[float]) -> list[Picture]:
    """Return the pictures that are on the screen at rising times, in seconds."""
    with opened(path) as container:
        if not container.streams.video:
            raise Unreadable("no picture", path)
        shown: list[av.VideoFrame] = []
        frame = None
        for following in container.decode(container.streams.video[0]):
            while len(shown) < len(times) and (following.time or 0.0) > times[len(shown)]:
                shown.append(frame or following)
            if len(shown) == len(times):
                break
            frame = following
        if frame is None:
            raise Unreadable("no picture", path, "none can be decoded")
        return [upright(frame) for frame in shown + [frame] * (len(times) - len(shown))]


def upright(frame: av.VideoFrame) -> Picture:
    """Return a video frame as RGB, turned and mirrored as the file asks for."""
    picture = frame.to_ndarray(format="rgb24")
    display = frame.side_data.get("DISPLAYMATRIX")
    if isinstance(display, SideData):
        # The place x, y of the picture is shown at a x + c y, b x + d y.
        a, b, _, c, d = np.frombuffer(bytes(display), np.int32)[:5]
        if abs(b) > abs(a):
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)
