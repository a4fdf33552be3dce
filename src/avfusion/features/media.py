"""Sound and pictures out of any file that PyAV or Pillow can open."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.video.stream import VideoStream
from jaxtyping import Float32, UInt8
from PIL import Image, ImageOps

from avfusion.corpora.unlabelled import PICTURES
from avfusion.features.mfcc import SAMPLE_RATE

Picture = UInt8[np.ndarray, "height width 3"]
# Containers whose header states the true duration; others only estimate it.
EXACT = {"flac", "mov,mp4,m4a,3gp,3g2,mj2"}
ENDLESS = 2**31 - 2**16  # bytes; a RIFF header that states more was written to a pipe
# No play lists: they would open other files. No PostScript: it would run a program.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,asf,avi,flv,h264,hevc,m4v,matroska,webm,mov,mp4,"
    "m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mjpeg"
)
PICTURE_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 2**25  # of a picture, else it would not fit into the memory of a worker
HELD = 900 * SAMPLE_RATE  # samples; of a longer sound only what is wanted is held in memory
FAR = 30.0  # seconds; pictures further into a video are sought rather than decoded up to


class Unreadable(ValueError):
    """A file that cannot be used; reports count its ``reason``, the message has the detail.

    A ``fatal`` one ends a preparation rather than being skipped.
    """

    fatal = False

    def __init__(self, reason: str, path: Path, detail: str = "") -> None:
        super().__init__(f"{path.name}: {reason}" + (f" ({detail})" if detail else ""))
        self.reason = reason


class Missing(Unreadable):
    """A recording without any sound, or without any picture."""


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
    with (
        reading(path),
        av.open(
            str(path), metadata_errors="replace", options={"format_whitelist": FORMATS}
        ) as container,
    ):
        yield container


class Sound(NamedTuple):
    """Mono sound at 16 kHz in [-1, 1]: some ``samples`` of ``total``, from ``first`` on.

    ``start`` is the time in seconds, on the clock of the file, at which the whole sound starts;
    ``finite`` says that none of its samples is infinite or not a number.
    """

    samples: Float32[np.ndarray, "samples"]
    first: int
    total: int
    start: float
    finite: bool


def read_sound(path: Path, span: Callable[[int], slice]) -> Sound:
    """Return what ``span`` wants of a sound once it knows how many samples there are."""
    sound = decode_sound(path, slice(0, HELD))
    wanted = span(sound.total)
    if wanted.stop > len(sound.samples):
        return decode_sound(path, wanted)
    return sound._replace(samples=sound.samples[wanted], first=wanted.start)


def decode_sound(path: Path, wanted: slice) -> Sound:
    """Decode a sound to its end, and hold the samples that are wanted."""
    with opened(path) as container:
        if not container.streams.audio:
            raise Missing("no sound", path)
        stream = container.streams.audio[0]
        promised = float((stream.duration or 0) * (stream.time_base or 0))
        held, start, total, finite = [np.zeros(0, np.float32)], None, 0, True
        for time, block in resampled(container, stream):
            start = time if start is None else start
            finite = finite and bool(np.isfinite(block).all())
            if total < wanted.stop and total + len(block) > wanted.start:
                held.append(block[max(0, wanted.start - total) : wanted.stop - total])
            total += len(block)
        check_length(path, total, promised if container.format.name in EXACT else 0.0)
    return Sound(np.concatenate(held), wanted.start, total, start or 0.0, finite)


def resampled(container: InputContainer, stream: AudioStream) -> Iterator[tuple[float, np.ndarray]]:
    """Yield mono sound at 16 kHz block by block, with the time of the frame that it came of."""
    resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
    time = None
    for frame in container.decode(stream):
        time = frame.time or 0.0
        for block in resampler.resample(frame):
            yield time, mixed(block)
    if time is not None:
        for block in resampler.resample(None):
            yield time, mixed(block)


def mixed(block: av.AudioFrame) -> Float32[np.ndarray, "samples"]:
    """Return the mean of all channels; FFmpeg's own mix would be louder than each of them."""
    return block.to_ndarray().reshape(-1, block.layout.nb_channels).mean(axis=1)


def check_length(path: Path, samples: int, promised: float) -> None:
    """Refuse a sound that is empty or much shorter than the promised seconds."""
    seconds = samples / SAMPLE_RATE
    if not samples:
        raise Unreadable("empty sound track", path)
    if seconds < 0.9 * promised - 0.1:
        raise Unreadable("truncated", path, f"{seconds:.2f} s of {promised:.2f} s")


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


def read_video(path: Path, times: list[float]) -> list[Picture]:
    """Return the pictures that are on the screen at rising times, in seconds."""
    shown = seek_frames(path, times) if times[0] > FAR else None
    with opened(path) as container:
        shown = shown or frames_at(timed(container, path), times)
        if not shown:
            raise Unreadable("no picture", path, "none can be decoded")
        return [upright(frame) for frame in shown]


def video_span(path: Path) -> tuple[float, float]:
    """Return the times in seconds at which the first and after the last picture is shown."""
    with opened(path) as container:
        times = [
            float(packet.pts * packet.time_base)
            for packet in container.demux(container.streams.best("video"))
            if packet.pts is not None and packet.time_base is not None
        ] or [0.0]
    return min(times), max(times)


def seek_frames(path: Path, times: list[float]) -> list[av.VideoFrame] | None:
    """Return frames without decoding all before them, None where the file cannot be sought in."""
    with suppress(Unreadable), opened(path) as container:
        container.seek(int((times[0] - 1) * av.time_base))
        frames = timed(container, path)
        first = next(frames, None)
        if first is not None and first[0] <= times[0]:
            return frames_at(chain([first], frames), times)
    return None


def timed(container: InputContainer, path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the pictures of a video with the times in seconds from which on they are shown."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise Missing("no picture", path)
    check_size(path, stream.width, stream.height)
    stream.thread_count = 1  # the other cores have clips of their own
    step = float(1 / (stream.average_rate or 25))
    time = -step
    for frame in container.decode(stream):
        time = time + step if frame.time is None else frame.time
        yield time, frame


def frames_at(
    frames: Iterator[tuple[float, av.VideoFrame]], times: list[float]
) -> list[av.VideoFrame]:
    """Return the frame that is shown at each time; the last one stays, the first was before."""
    shown: list[av.VideoFrame] = []
    last = None
    for time, frame in frames:
        while len(shown) < len(times) and time > times[len(shown)]:
            shown.append(last or frame)
        if len(shown) == len(times):
            return shown
        last = frame
    return [] if last is None else shown + [last] * (len(times) - len(shown))


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
