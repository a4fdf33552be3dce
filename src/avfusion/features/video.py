"""Pictures out of any video that FFmpeg can open, at the times at which they are shown."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.video.stream import VideoStream

from avfusion.features.picture import Picture, Shown, reduction
from avfusion.features.source import MOST_PIXELS, OPTIONS, Missing, Unreadable, opened

EARLY = 32  # pictures to look for one that has a time, where the first has none
FAR = 30.0  # seconds; pictures further into a video are sought rather than decoded up to


def read_video(path: Path, times: list[float]) -> Shown:
    """Return the pictures that are on the screen at rising times, in seconds."""
    shown = seek_pictures(path, times) if times[0] > FAR else None
    with opened(path) as container:
        shown = shown or pictures_at(timed(container, path), times)
        if shown is None:
            raise Unreadable("no picture", path, "none can be decoded")
        return shown


def video_span(path: Path) -> tuple[float, float]:
    """Return the times in seconds at which the first and after the last picture is shown."""
    with opened(path) as container:
        times = [
            float(packet.pts * packet.time_base)
            for packet in container.demux(container.streams.best("video"))
            if packet.pts is not None and packet.time_base is not None
        ] or [0.0]
    return min(times), max(times)


def seek_pictures(path: Path, times: list[float]) -> Shown | None:
    """Return pictures without decoding all before, None where the file cannot be sought in."""
    with suppress(Unreadable), opened(path) as container:
        container.seek(int((times[0] - 1) * av.time_base))
        frames = timed(container, path)
        first = next(frames, None)
        if first is not None and first[0] <= times[0]:
            return pictures_at(chain([first], frames), times)
    return None


def timed(container: InputContainer, path: Path) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the pictures of a video with the times in seconds from which on they are shown."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise Missing("no picture", path)
    if stream.width * stream.height > MOST_PIXELS:
        size = f"{stream.width} x {stream.height} pixels"
        raise Unreadable("picture too large", path, f"{size}, shrink it first")
    # Pictures may be larger than the header says.
    stream.codec_context.options = {"max_pixels": OPTIONS["max_pixels"]}
    stream.thread_count = 1  # the other cores have clips of their own
    yield from clocked(container.decode(stream), float(1 / (stream.average_rate or 25)))


def clocked(frames: Iterator[av.VideoFrame], step: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield pictures with their times; where a file tells none they are ``step`` seconds apart.

    So are those in front of the first that has a time: Matroska tells none before zero. Once times
    go back they are those of decoding, as AVI tells no others.
    """
    early = list(islice(frames, 1))
    if early and early[0].time is None:
        early += islice(frames, EARLY)
    told = [(place, frame.time) for place, frame in enumerate(early) if frame.time is not None]
    place, time = told[0] if told else (0, 0.0)
    time -= (place + 1) * step
    went_back = False
    for frame in chain(early, frames):
        now = time + step if frame.time is None else frame.time
        went_back = went_back or now < time
        if went_back and frame.dts is not None and frame.time_base is not None:
            now = float(frame.dts * frame.time_base)
        yield (time := now), frame


def pictures_at(frames: Iterator[tuple[float, av.VideoFrame]], times: list[float]) -> Shown | None:
    """Return the picture that is shown at each time; the last one stays, the first was before."""
    pictures: list[Picture] = []
    last = None
    for time, frame in frames:
        due = sum(moment < time for moment in times[len(pictures) :])
        if due:
            last = last or frame
            pictures += [upright(last)] * due
        if len(pictures) == len(times):
            break
        last = frame
    if last is None:
        return None
    left = len(times) - len(pictures)
    pictures += [upright(last)] * left if left else []
    return Shown(pictures, reduction(last.width, last.height))


def upright(frame: av.VideoFrame) -> Picture:
    """Return a video frame as RGB, reduced, turned and mirrored as the file asks for."""
    factor = reduction(frame.width, frame.height)
    if factor > 1:
        size = (frame.width // factor, frame.height // factor)
        frame = frame.reformat(*size, "rgb24", interpolation="AREA")
    picture = frame.to_ndarray(format="rgb24")
    display = frame.side_data.get("DISPLAYMATRIX")
    if isinstance(display, SideData):
        # The place x, y of the picture is shown at a x + c y, b x + d y.
        a, b, _, c, d = np.frombuffer(bytes(display), np.int32)[:5]
        if abs(b) > abs(a):
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)
