"""Frames of any video that FFmpeg can open, at their times.

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

from avfusion.corpora.media import detect_kind
from avfusion.corpora.recording import Recording
from avfusion.features.container import (
    MAX_VIDEO_PIXELS,
    OPEN_OPTIONS,
    demux,
    open_media,
    read_clock,
    rejoin_packets,
)
from avfusion.features.picture import (
    DecodedFrames,
    DecodingLoss,
    Picture,
    choose_reduction,
    is_frame,
    is_still,
)
from avfusion.features.policies import Missing, Unreadable

MAX_UNTIMED_FRAMES = 32  # at the start, to look for one that has a time
SEEK_AFTER = 30.0  # seconds; frames further into a video are sought rather than decoded up to
MAX_PIXEL_ASPECT = 4.0  # of the sides of a pixel; a header that says more is wrong
# Formats whose header states how long the video is, and those whose header states how long the
# longest of all streams is; others are as long as they are found to be.
VIDEO_LENGTH_FORMATS = {"mov,mp4,m4a,3gp,3g2,mj2", "avi"}
TOTAL_LENGTH_FORMATS = {"matroska,webm", "flv", "asf"}
# Formats in which lost packets leave nothing but a hole in the time stamps.
HOLE_FORMATS = {"matroska,webm", "flv", "asf", "mpegts", "mpeg"}
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")  # the start of a header's part
# Streams without a container and thus without time stamps: those that FFmpeg makes up for some of
# them are wrong by a picture or two.
RAW_FORMATS = {"h264", "hevc", "m4v", "mpegvideo", "mjpeg", "h261", "h263", "vc1", "obu"}
MAX_CHECKED_FRAMES = 3000  # decoded to learn how many are damaged: clips are shorter
LENGTH_TOLERANCE = 0.1  # seconds by which a header may round up
JOINT_PACKETS = 2  # in front of a joint; demuxers take its jump for damage to them


class FrameTimes(NamedTuple):
    """Times of a video's frames according to its packets, in seconds.

    ``times`` are when its frames begin to be shown, in order, counted where the file has none
    (then it is not ``timed``); ``step`` is from one to the next where the rate is constant,
    ``missing`` what lacks of the promised ``length``, ``damaged`` how many packets are known to be.
    """

    times: Float64[np.ndarray, "frames"]
    timed: bool
    step: float
    length: float
    missing: float
    damaged: int


def read_video(path: Path, times: list[float]) -> DecodedFrames:
    """Read the frames that are on the screen at ascending times, in seconds.

    Raises:
        Unreadable: no frame can be decoded.
        Missing: the file has none.
    """
    known, errors = read_frame_times(path), [0]
    frames = _seek_frames(path, times, known, errors) if times[0] > SEEK_AFTER else None
    with open_media(path) as container:
        aspect = _pixel_aspect(_select_track(container, path))
        frames = frames or _frames_at(_decode(container, path, known, errors), times, aspect)
        if frames is None:
            reason = "cannot be decoded" if errors[0] else "no picture"
            raise Unreadable(reason, path, "none of its pictures can be decoded")

    lost = known.missing
    if errors[0] or known.damaged:
        met = max(errors[0], known.damaged) * known.step
        status = path.stat()
        lost += max(met, _measure_undecodable(path, status.st_mtime_ns, status.st_size))
    return frames._replace(
        loss=DecodingLoss(min(lost, known.length), known.length, "s of pictures")
    )


def read_video_span(path: Path) -> tuple[float, float]:
    """Times in seconds at which the first and the last frame begin to be shown."""
    known = read_frame_times(path)
    return float(known.times[0]), float(known.times[-1])


def read_frame_times(path: Path) -> FrameTimes:
    """Read the times of a video's frames from its packets; none is decoded."""
    status = path.stat()
    return _read_frame_times(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # the windows of a recording ask for the same one
def _read_frame_times(path: Path, _changed: int, _size: int) -> FrameTimes:
    with open_media(path) as container:
        clock = read_clock(path, container.format.name)
        stream = _select_track(container, path)
        form = container.format.name
        stated = _stated_length(container, stream, path)
        rates = (stream.average_rate, stream.guessed_rate)
        rates = rates[::-1] if form in RAW_FORMATS else rates  # the average may be a default
        step = float(1 / (rates[0] or rates[1] or 25))

        indices = [stream.index]
        if form in TOTAL_LENGTH_FORMATS:
            indices = [s.index for s in container.streams if s.type in ("audio", "video")]
        joints = set(clock.shifts.get(stream.index, ([0], [0.0]))[0][1:])  # packets after them
        parts: list[list[float]] = [[]]
        count, damaged, end = 0, 0, 0.0
        for packet in rejoin_packets(demux(container, indices), clock):
            if not packet.size:
                continue
            time = None
            if packet.pts is not None and packet.time_base is not None:
                time = float(packet.pts * packet.time_base)
                end = max(end, time + float((packet.duration or 0) * packet.time_base))
            if packet.stream.index != stream.index:
                continue

            if count in joints:
                parts.append([])
            before_joint = any(count + n in joints for n in range(1, JOINT_PACKETS + 1))
            damaged += packet.is_corrupt and not before_joint
            if time is not None:
                parts[-1].append(time)
            count += 1

    times = np.array(sorted(chain(*parts)))
    if len(times) and stated:  # a time stamp far behind the end is a damaged one
        times = times[times - times[0] <= 2 * stated + 1]
    timed = len(times) > 0 and form not in RAW_FORMATS
    times = times if timed else step * np.arange(max(1, count))

    found = float(times[-1] - times[0]) + step
    reached = end if form in TOTAL_LENGTH_FORMATS else max(found, end - float(times[0]))
    missing = stated - reached if stated - reached > LENGTH_TOLERANCE + 2 * step else 0.0
    if form in HOLE_FORMATS:
        missing += sum(map(_measure_holes, parts))
    return FrameTimes(times, timed, step, max(stated, found), missing, int(damaged))


def _stated_length(container: InputContainer, stream: VideoStream, path: Path) -> float:
    """Seconds of video that a header promises, zero where it promises nothing."""
    if stream.disposition & Disposition.attached_pic:
        return 0.0

    # Of these, FFmpeg does not report what the header of a cut file says.
    if container.format.name in ("avi", "asf"):
        with path.open("rb") as file:
            start = file.read(2**16)
        if container.format.name == "avi":
            return _little_endian(start[32:36]) * _little_endian(start[48:52]) / 1e6
        part = start[max(0, start.find(ASF_PROPERTIES)) :]
        return max(0.0, _little_endian(part[64:72]) / 1e7 - _little_endian(part[80:88]) / 1e3)

    if container.format.name in VIDEO_LENGTH_FORMATS:
        return float((stream.duration or 0) * (stream.time_base or 0))
    if container.format.name in TOTAL_LENGTH_FORMATS:
        return (container.duration or 0) / av.time_base
    return 0.0


def _little_endian(content: bytes) -> int:
    return int.from_bytes(content, "little")


def _measure_holes(times: list[float]) -> float:
    """Seconds that lack between the frames of a video whose rate is constant.

    Where the rate varies, a longer time between frames means nothing.
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
def _measure_undecodable(path: Path, _changed: int, _size: int) -> float:
    """Seconds for which no frame can be decoded that the packets of a video promise.

    Up to ``MAX_CHECKED_FRAMES`` are decoded for it: ask only where some are known to be damaged.
    """
    known = read_frame_times(path)
    errors = [0]
    with open_media(path) as container:
        frames = _decode(container, path, known, errors)
        found = [time for time, _ in islice(frames, MAX_CHECKED_FRAMES)]
        stream_like = container.format.name in {"mpegts", "mpeg"}  # may begin between key frames
    if not known.timed:
        return errors[0] * known.step

    found.sort()
    usual = float(np.median(np.diff(found))) if len(found) > 2 else known.step
    times = known.times
    start = found[0] if found and stream_like else times[0] - usual
    end = found[-1] if len(found) == MAX_CHECKED_FRAMES else times[-1] + known.step
    lost = 0.0
    for one, other in pairwise([start, *found, end]):
        between = times[(times > one + 0.001) & (times < other - 0.001)]
        if len(between) and other - one > 1.5 * usual:
            lost += other - float(between[0])
    return lost


def _seek_frames(
    path: Path, times: list[float], known: FrameTimes, errors: list[int]
) -> DecodedFrames | None:
    """Read frames without decoding all before, None where the file cannot be sought in."""
    if not known.timed:
        return None
    with suppress(Unreadable), open_media(path) as container:
        begin: float | None = times[0] - 1
        if not read_clock(path, container.format.name).shifts:
            container.seek(int((times[0] - 1) * av.time_base))
            begin = None

        frames = _decode(container, path, known, errors, begin)
        first = next(frames, None)
        if first is not None and first[0] <= times[0]:
            aspect = _pixel_aspect(_select_track(container, path))
            return _frames_at(chain([first], frames), times, aspect)
    return None


def _select_track(container: InputContainer, path: Path) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        raise Missing("no picture", path)
    if stream.width * stream.height > MAX_VIDEO_PIXELS:
        size = f"{stream.width} x {stream.height} pixels"
        raise Unreadable("picture too large", path, f"{size}, shrink it first")
    return stream


def _decode(
    container: InputContainer,
    path: Path,
    known: FrameTimes,
    errors: list[int],
    begin: float | None = None,
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield the frames of a video with the times in seconds from which on they are shown.

    Decoding begins at the last key frame before the time ``begin``. In ``errors`` is counted what
    cannot be decoded.
    """
    stream = _select_track(container, path)
    # Frames may be larger than the header says.
    stream.codec_context.options = {"max_pixels": OPEN_OPTIONS["max_pixels"]}
    stream.thread_count = 1  # the other cores have clips of their own

    packets = rejoin_packets(
        demux(container, [stream.index]), read_clock(path, container.format.name)
    )
    if begin is not None:
        packets = _start_at_key_frame(packets, begin)
    if not known.timed:
        packets = _strip_times(packets)
    frames = decode_packets(stream, packets, errors)
    if known.timed:  # one that is lost need not be counted, and a time behind the end is wrong
        latest = known.times[-1] + known.step
        frames = (frame for frame in frames if frame and (frame.time or 0.0) <= latest)
    yield from assign_times(frames, known.step)


def _strip_times(packets: Iterator[Packet]) -> Iterator[Packet]:  # type: ignore[type-arg]
    for packet in packets:
        packet.pts = packet.dts = None
        yield packet


def _start_at_key_frame(
    packets: Iterator[Packet],  # type: ignore[type-arg]
    begin: float,
) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield the packets from the last key frame on that is shown before a time."""
    held: list[Packet] = []  # type: ignore[type-arg]
    for packet in packets:
        time = begin if packet.pts is None else float(packet.pts * (packet.time_base or 0))
        if packet.is_keyframe and time < begin:
            held = []
        held.append(packet)
        if time > begin + 1:
            break
    yield from chain(held, packets)


def decode_packets(
    stream: VideoStream,
    packets: Iterator[Packet],  # type: ignore[type-arg]
    errors: list[int],
) -> Iterator[av.VideoFrame | None]:
    """Yield the frames of packets, None for each that is damaged; they are counted."""
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


def assign_times(
    frames: Iterator[av.VideoFrame | None], step: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield frames with their times; where a file has none they are ``step`` seconds apart.

    So are those in front of the first that has a time: Matroska has none before zero. Once times
    go back they are those of decoding, as AVI has no others. None is a frame that was lost.
    """
    early = list(islice(frames, 1))
    if early and (early[0] is None or early[0].time is None):
        early += islice(frames, MAX_UNTIMED_FRAMES)
    timed = [
        (position, frame.time)
        for position, frame in enumerate(early)
        if frame is not None and frame.time is not None
    ]
    position, time = timed[0] if timed else (0, 0.0)
    time -= (position + 1) * step

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


def _frames_at(
    frames: Iterator[tuple[float, av.VideoFrame]], times: list[float], aspect: float = 1.0
) -> DecodedFrames | None:
    """Keep the frame that is shown at each time; the last one stays, the first was before."""
    pictures: list[Picture] = []
    last = None
    for time, frame in frames:
        due = sum(moment < time for moment in times[len(pictures) :])
        if due:
            last = last or frame
            pictures += [_to_picture(last, aspect)] * due
        if len(pictures) == len(times):
            break
        last = frame
    if last is None:
        return None

    left = len(times) - len(pictures)
    pictures += [_to_picture(last, aspect)] * left if left else []
    return DecodedFrames(pictures, choose_reduction(round(last.width * aspect), last.height))


def _pixel_aspect(stream: VideoStream) -> float:
    """Width of a pixel over its height, as it is shown."""
    aspect = float(stream.sample_aspect_ratio or 1)
    return aspect if 1 / MAX_PIXEL_ASPECT <= aspect <= MAX_PIXEL_ASPECT else 1.0


def _to_picture(frame: av.VideoFrame, aspect: float = 1.0) -> Picture:
    """Convert a frame to RGB with square pixels, reduced, and turned as the file asks for."""
    width = max(1, round(frame.width * aspect))
    reduction = choose_reduction(width, frame.height)
    if reduction > 1 or width != frame.width:
        size = (max(1, width // reduction), max(1, frame.height // reduction))
        interpolation = "AREA" if reduction > 1 else "BICUBIC"
        frame = frame.reformat(*size, "rgb24", interpolation=interpolation)

    picture = frame.to_ndarray(format="rgb24")
    display = frame.side_data.get("DISPLAYMATRIX")
    if isinstance(display, SideData):
        # The pixel x, y of the picture is shown at a x + c y, b x + d y.
        a, b, _, c, d = np.frombuffer(bytes(display), np.int32)[:5]
        if abs(b) > abs(a):
            picture, a, d = picture.swapaxes(0, 1), c, b
        picture = picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return np.ascontiguousarray(picture)


def count_pictures(recording: Recording) -> int:
    """Count the pictures of a recording, 0 where it has none or its file does not say."""
    with suppress(OSError, ValueError):
        if recording.video is not None:
            return 1 if is_still(recording.video) else _count_frames(recording.video)
        if recording.image is not None and recording.image.is_dir():
            return sum(is_frame(path) for path in recording.image.iterdir())
        if recording.image is not None and detect_kind(recording.image) == "video":
            if recording.span is not None:
                times, (begin, end) = read_frame_times(recording.image).times, recording.span
                return int(np.count_nonzero((times >= begin) & (times < end)))
            return 1 if is_still(recording.image) else _count_frames(recording.image)
    return int(recording.image is not None)


def _count_frames(path: Path) -> int:
    """Frames that a video promises, or as many as its length and rate make."""
    with open_media(path) as container:
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
