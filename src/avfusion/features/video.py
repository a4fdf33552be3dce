"""Frames of any video that FFmpeg can open, at their times, and how many a recording has.

Times are in seconds on the clock of the file, which is one clock where it was joined from several.
What cannot be decoded is left out, and the picture before it stays; how much that is, is said.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.stream import VideoStream
from jaxtyping import Float64

from avfusion.corpora.recording import Recording
from avfusion.features.clock import JOINABLE, Clock, demux, read_clock, rejoin
from avfusion.features.picture import Loss, Picture, Shown, is_frame, is_still, reduction
from avfusion.features.source import MOST_PIXELS, OPTIONS, Missing, Unreadable, opened

EARLY = 32  # pictures to look for one that has a time, where the first has none
FAR = 30.0  # seconds; pictures further into a video are sought rather than decoded up to
MOST_STRETCH = 4.0  # of the sides of a pixel; a header that says more is wrong
# Formats whose header states how long the video is, and those whose header states how long the
# longest of all streams is; others are as long as they are found to be.
STATED = {"mov,mp4,m4a,3gp,3g2,mj2", "avi"}
STATED_FOR_ALL = {"matroska,webm", "flv", "asf"}
# Formats in which lost packets leave nothing but a hole in the time stamps.
HOLED = {"matroska,webm", "flv", "asf", "mpegts", "mpeg"}
ASF_PROPERTIES = bytes.fromhex(
    "a1dcab8c47a9cf118ee400c00c205365"
)  # how a part of its header begins
# Streams without a container and thus without time stamps: those that FFmpeg makes up for some of
# them are wrong by a picture or two.
RAW = {"h264", "hevc", "m4v", "mpegvideo", "mjpeg", "h261", "h263", "vc1", "obu"}
MEASURED = (
    3000  # pictures that are decoded at most to learn how many are damaged: clips are shorter
)
SLACK = 0.1  # seconds by which a header may round up
JOINT_PACKETS = 2  # in front of a joint; demuxers take its jump for damage to them


class Track(NamedTuple):
    """What the packets of a video tell of its pictures, in seconds.

    ``times`` are when its pictures begin to be shown, in order, counted where the file tells none
    (then it is not ``timed``); ``step`` is from one to the next where the rate is constant,
    ``missing`` what lacks of the promised ``length``, ``damaged`` how many packets are known to be.
    """

    times: Float64[np.ndarray, "pictures"]
    timed: bool
    step: float
    length: float
    missing: float
    damaged: int


def read_video(path: Path, times: list[float]) -> Shown:
    """Return the pictures that are on the screen at rising times, in seconds.

    Raises:
        Unreadable: no picture can be decoded.
        Missing: the file has none.
    """
    track, errors = read_track(path), [0]
    shown = seek_pictures(path, times, track, errors) if times[0] > FAR else None
    with opened(path) as container:
        stretch = stretched(video_stream(container, path))
        shown = shown or pictures_at(timed(container, path, track, errors), times, stretch)
        if shown is None:
            reason = "cannot be decoded" if errors[0] else "no picture"
            raise Unreadable(reason, path, "none of its pictures can be decoded")
    lost = track.missing
    if errors[0] or track.damaged:
        met = max(errors[0], track.damaged) * track.step
        status = path.stat()
        lost += max(met, undecodable(path, status.st_mtime_ns, status.st_size))
    return shown._replace(loss=Loss(min(lost, track.length), track.length, "s of pictures"))


def video_span(path: Path) -> tuple[float, float]:
    """Return the times in seconds at which the first and the last picture begin to be shown."""
    track = read_track(path)
    return float(track.times[0]), float(track.times[-1])


def read_track(path: Path) -> Track:
    """Return what packets tell of a video; none is decoded."""
    status = path.stat()
    return _track(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # the windows of a recording ask for the same one
def _track(path: Path, _changed: int, _size: int) -> Track:
    with opened(path) as container:
        clock = clock_of(container, path)
        stream = video_stream(container, path)
        form = container.format.name
        stated = stated_length(container, stream, path)
        rates = (stream.average_rate, stream.guessed_rate)
        rates = rates[::-1] if form in RAW else rates  # of those, the average may be a default
        step = float(1 / (rates[0] or rates[1] or 25))
        indices = [stream.index]
        if form in STATED_FOR_ALL:
            indices = [s.index for s in container.streams if s.type in ("audio", "video")]
        firsts = set(clock.shifts.get(stream.index, ([0], [0.0]))[0][1:])  # packets after joints
        parts: list[list[float]] = [[]]
        count, damaged, end = 0, 0, 0.0
        for packet in rejoin(demux(container, indices), clock):
            if not packet.size:
                continue
            time = None
            if packet.pts is not None and packet.time_base is not None:
                time = float(packet.pts * packet.time_base)
                end = max(end, time + float((packet.duration or 0) * packet.time_base))
            if packet.stream.index != stream.index:
                continue
            if count in firsts:
                parts.append([])
            before_joint = any(count + n in firsts for n in range(1, JOINT_PACKETS + 1))
            damaged += packet.is_corrupt and not before_joint
            if time is not None:
                parts[-1].append(time)
            count += 1
    times = np.array(sorted(chain(*parts)))
    if len(times) and stated:  # a time stamp far behind the end is a damaged one
        times = times[times - times[0] <= 2 * stated + 1]
    timed = len(times) > 0 and form not in RAW
    times = times if timed else step * np.arange(max(1, count))
    found = float(times[-1] - times[0]) + step
    reached = end if form in STATED_FOR_ALL else max(found, end - float(times[0]))
    missing = stated - reached if stated - reached > SLACK + 2 * step else 0.0
    if form in HOLED:
        missing += sum(map(holes, parts))
    return Track(times, timed, step, max(stated, found), missing, int(damaged))


def stated_length(container: InputContainer, stream: VideoStream, path: Path) -> float:
    """Return how many seconds of video a header promises, zero where it promises nothing."""
    if stream.disposition & Disposition.attached_pic:
        return 0.0
    # Of these, FFmpeg does not tell what the header of a cut file says.
    if container.format.name in ("avi", "asf"):
        with path.open("rb") as file:
            start = file.read(2**16)
        if container.format.name == "avi":
            return little_endian(start[32:36]) * little_endian(start[48:52]) / 1e6
        part = start[max(0, start.find(ASF_PROPERTIES)) :]
        return max(0.0, little_endian(part[64:72]) / 1e7 - little_endian(part[80:88]) / 1e3)
    if container.format.name in STATED:
        return float((stream.duration or 0) * (stream.time_base or 0))
    if container.format.name in STATED_FOR_ALL:
        return (container.duration or 0) / av.time_base
    return 0.0


def little_endian(content: bytes) -> int:
    """Return a number whose lowest byte comes first."""
    return int.from_bytes(content, "little")


def holes(times: list[float]) -> float:
    """Return the seconds that lack between the pictures of a video whose rate is constant.

    Where the rate varies, a longer time between pictures means nothing.
    """
    gaps = np.diff(np.sort(times))
    gaps = gaps[gaps > 0]
    if len(gaps) < 3:
        return 0.0
    usual = float(np.median(gaps))
    if np.mean(np.abs(gaps - usual) < 0.1 * usual + 0.0015) < 0.9:
        return 0.0
    return float(np.sum(gaps[gaps > 1.5 * usual] - usual))


@lru_cache(maxsize=4)
def undecodable(path: Path, _changed: int, _size: int) -> float:
    """Return for how many seconds no picture can be decoded that the packets of a video promise.

    Up to ``MEASURED`` pictures are decoded for it: ask only where some are known to be damaged.
    """
    track = read_track(path)
    errors = [0]
    with opened(path) as container:
        pictures = timed(container, path, track, errors)
        found = [time for time, _ in islice(pictures, MEASURED)]
        stream_like = container.format.name in {"mpegts", "mpeg"}  # may begin between key pictures
    if not track.timed:
        return errors[0] * track.step
    found.sort()
    usual = float(np.median(np.diff(found))) if len(found) > 2 else track.step
    times = track.times
    start = found[0] if found and stream_like else times[0] - usual
    end = found[-1] if len(found) == MEASURED else times[-1] + track.step
    lost = 0.0
    for one, other in pairwise([start, *found, end]):
        between = times[(times > one + 0.001) & (times < other - 0.001)]
        if len(between) and other - one > 1.5 * usual:
            lost += other - float(between[0])
    return lost


def seek_pictures(path: Path, times: list[float], track: Track, errors: list[int]) -> Shown | None:
    """Return pictures without decoding all before, None where the file cannot be sought in."""
    if not track.timed:
        return None
    with suppress(Unreadable), opened(path) as container:
        begin: float | None = times[0] - 1
        if not clock_of(container, path).shifts:
            container.seek(int((times[0] - 1) * av.time_base))
            begin = None
        frames = timed(container, path, track, errors, begin)
        first = next(frames, None)
        if first is not None and first[0] <= times[0]:
            stretch = stretched(video_stream(container, path))
            return pictures_at(chain([first], frames), times, stretch)
    return None


def clock_of(container: InputContainer, path: Path) -> Clock:
    """Return the clock of a file; most formats cannot be joined."""
    return read_clock(path) if container.format.name in JOINABLE else Clock({})


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """Return the stream whose pictures are shown."""
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise Missing("no picture", path)
    if stream.width * stream.height > MOST_PIXELS:
        size = f"{stream.width} x {stream.height} pixels"
        raise Unreadable("picture too large", path, f"{size}, shrink it first")
    return stream


def timed(
    container: InputContainer,
    path: Path,
    track: Track,
    errors: list[int],
    begin: float | None = None,
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the pictures of a video with the times in seconds from which on they are shown.

    Decoding begins at the last key picture before the time ``begin``. In ``errors`` is counted what
    cannot be decoded.
    """
    stream = video_stream(container, path)
    # Pictures may be larger than the header says.
    stream.codec_context.options = {"max_pixels": OPTIONS["max_pixels"]}
    stream.thread_count = 1  # the other cores have clips of their own
    packets = rejoin(demux(container, [stream.index]), clock_of(container, path))
    if begin is not None:
        packets = from_key(packets, begin)
    if not track.timed:
        packets = untimed(packets)
    frames = decoded(stream, packets, errors)
    if track.timed:  # one that is lost need not be counted, and a time behind the end is wrong
        latest = track.times[-1] + track.step
        frames = (frame for frame in frames if frame and (frame.time or 0.0) <= latest)
    yield from clocked(frames, track.step)


def untimed(packets: Iterator[Packet]) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield packets without their time stamps."""
    for packet in packets:
        packet.pts = packet.dts = None
        yield packet


def from_key(packets: Iterator[Packet], begin: float) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield the packets from the last key picture on that is shown before a time."""
    held: list[Packet] = []  # type: ignore[type-arg]
    for packet in packets:
        time = begin if packet.pts is None else float(packet.pts * (packet.time_base or 0))
        if packet.is_keyframe and time < begin:
            held = []
        held.append(packet)
        if time > begin + 1:
            break
    yield from chain(held, packets)


def decoded(
    stream: VideoStream,
    packets: Iterator[Packet],  # type: ignore[type-arg]
    errors: list[int],
) -> Iterator[av.VideoFrame | None]:
    """Yield the pictures of packets, None for each that is damaged; they are counted."""
    for packet in packets:
        frames: list[av.VideoFrame | None]
        try:
            frames = [*stream.decode(packet)]
        except av.error.EOFError:  # the decoder has ended, and takes nothing any more
            return
        except av.FFmpegError:
            frames = [None]
        for frame in frames:
            # A decoder that conceals what it cannot decode, by what was there before, says so.
            whole = frame is not None and not frame.is_corrupt
            errors[0] += not whole
            yield frame if whole else None


def clocked(
    frames: Iterator[av.VideoFrame | None], step: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield pictures with their times; where a file tells none they are ``step`` seconds apart.

    So are those in front of the first that has a time: Matroska tells none before zero. Once times
    go back they are those of decoding, as AVI tells no others. None is a picture that was lost.
    """
    early = list(islice(frames, 1))
    if early and (early[0] is None or early[0].time is None):
        early += islice(frames, EARLY)
    told = [
        (place, frame.time)
        for place, frame in enumerate(early)
        if frame is not None and frame.time is not None
    ]
    place, time = told[0] if told else (0, 0.0)
    time -= (place + 1) * step
    went_back = False
    for frame in chain(early, frames):
        if frame is None:
            time += step
            continue
        now = time + step if frame.time is None else frame.time
        went_back = went_back or now < time
        if went_back and frame.dts is not None and frame.time_base is not None:
            now = float(frame.dts * frame.time_base)
        yield (time := now), frame


def pictures_at(
    frames: Iterator[tuple[float, av.VideoFrame]], times: list[float], stretch: float = 1.0
) -> Shown | None:
    """Return the picture that is shown at each time; the last one stays, the first was before."""
    pictures: list[Picture] = []
    last = None
    for time, frame in frames:
        due = sum(moment < time for moment in times[len(pictures) :])
        if due:
            last = last or frame
            pictures += [upright(last, stretch)] * due
        if len(pictures) == len(times):
            break
        last = frame
    if last is None:
        return None
    left = len(times) - len(pictures)
    pictures += [upright(last, stretch)] * left if left else []
    return Shown(pictures, reduction(round(last.width * stretch), last.height))


def stretched(stream: VideoStream) -> float:
    """Return how many times as wide as high a pixel is shown."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1 / MOST_STRETCH <= aspect <= MOST_STRETCH else 1.0


def upright(frame: av.VideoFrame, stretch: float = 1.0) -> Picture:
    """Return a video frame as RGB, with square pixels, reduced, and turned as the file asks for."""
    shown = max(1, round(frame.width * stretch))
    factor = reduction(shown, frame.height)
    if factor > 1 or shown != frame.width:
        size = (max(1, shown // factor), max(1, frame.height // factor))
        way = "AREA" if factor > 1 else "BICUBIC"
        frame = frame.reformat(*size, "rgb24", interpolation=way)
    picture = frame.to_ndarray(format="rgb24")
    display = frame.side_data.get("DISPLAYMATRIX")
    if isinstance(display, SideData):
        # The place x, y of the picture is shown at a x + c y, b x + d y.
        a, b, _, c, d = np.frombuffer(bytes(display), np.int32)[:5]
        if abs(b) > abs(a):
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)


def count_pictures(recording: Recording) -> int:
    """Return how many pictures a recording has, 0 where it has none or its file does not tell."""
    with suppress(OSError, ValueError):
        if recording.video is not None:
            return 1 if is_still(recording.video) else count_frames(recording.video)
        if recording.image is not None and recording.image.is_dir():
            return sum(is_frame(path) for path in recording.image.iterdir())
    return int(recording.image is not None)


def count_frames(path: Path) -> int:
    """Return how many pictures a video promises, or as many as its length and rate make."""
    with opened(path) as container:
        if not container.streams.video:
            return 0
        stream = container.streams.video[0]
        if stream.frames:
            return stream.frames
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (container.duration or 0) / 1e6  # of AV_TIME_BASE
        return max(1, round(seconds * float(stream.average_rate or 25)))
