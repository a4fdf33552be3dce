"""Media files: opened safely, and their packets on one clock.

Transport streams may be joined by writing one behind the other, as cameras and recorders do at
every file of their size limit. Each part has time stamps of its own, which mostly start again from
the same number: ``rejoin_packets`` puts them one after another.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet

from avfusion.features.header import open_repaired, read_header
from avfusion.features.policies import Unreadable

# No play lists: they would open other files. No PostScript: it would run a program.
FORMATS = (
    "wav,w64,aiff,au,caf,flac,mp3,ogg,aac,ac3,amr,asf,avi,flv,h264,hevc,m4v,matroska,webm,mov,mp4,"
    "m4a,3gp,3g2,mj2,mpeg,mpegts,mpegvideo,mjpeg,gif,dv,h261,h263,ivf,mxf,nut,obu,rm,vc1,"
    "yuv4mpegpipe,"
    # Sounds of speech corpora and of archives
    "nistsphere,voc,ircam,sox,avr,pvf,epaf,iff,wv,tta,ape,tak,shn,mpc,mpc8,eac3,dts,dtshd,truehd,"
    "mlp,loas,latm,amrnb,amrwb,gsm,qcp,oma,dsf"
)
MAX_VIDEO_PIXELS = 2**25  # a little more than those of 8K; a decoder holds several pictures
OPEN_OPTIONS = {"format_whitelist": FORMATS, "max_pixels": str(MAX_VIDEO_PIXELS)}

JOINABLE_FORMATS = {"mpegts", "mpeg", "ogg"}  # they stay valid when files are joined
# Seconds by which a clock jumps back or ahead at a joint, much as FFmpeg's own program takes them:
# less is jitter, or a gap within one recording.
MIN_JUMP_BACK, MIN_JUMP_AHEAD = -0.1, 10.0
JUMP_TOLERANCE = 5.0  # seconds; streams that jump ahead at the same joint do so by as much
MAX_GAP = 600.0  # seconds; what is longer is a clock that jumped
MAX_FAILURES = 100  # packets in a row that cannot be read, after which a file has ended

_progress_listeners: list[Callable[[], None]] = []


@contextmanager
def listen_to_progress(listener: Callable[[], None]) -> Iterator[None]:
    """Call ``listener`` whenever decoding in this process has come a packet further."""
    _progress_listeners.append(listener)
    try:
        yield
    finally:
        _progress_listeners.remove(listener)


def report_progress() -> None:
    """Notify all listeners that another packet was decoded."""
    for listener in _progress_listeners:
        listener()


@contextmanager
def open_media(path: Path) -> Iterator[InputContainer]:
    """Open a media file; metadata in odd encodings are no reason to fail, nor are unknown sizes."""
    with explain_failures(path):
        header = read_header(path)
        repaired = header.repaired if header else {}
        source = open_repaired(path, repaired) if repaired else nullcontext(str(path))

        with (
            source as name,
            av.open(name, "r", metadata_errors="replace", options=OPEN_OPTIONS) as container,
        ):
            yield container


@contextmanager
def explain_failures(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into an ``Unreadable`` that names the file."""
    try:
        _check_first_bytes(path)
        yield
    except Unreadable:
        raise
    except Exception as error:  # decoders raise anything, and none of it may end a long run
        raise Unreadable("cannot be decoded", path, str(error)) from error


def _check_first_bytes(path: Path) -> None:
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise Unreadable("no file but a pipe, socket or device", path)  # reading might never end

    with path.open("rb") as file:
        start = file.read(1024)

    if not start:
        raise Unreadable("empty file", path)
    if start.startswith(b"version https://git-lfs"):
        raise Unreadable("git-LFS pointer, run git lfs pull", path)
    if start.startswith(b"NIST_1A") and b"shorten" in start:
        raise Unreadable("compressed with shorten, convert it with sph2pipe", path)


def demux(container: InputContainer, streams: list[int]) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield packets up to the last that can be read; a damaged one ends nothing."""
    failures, count, max_packets = 0, 0, container.size
    while failures < MAX_FAILURES:
        try:
            for packet in container.demux([container.streams[index] for index in streams]):
                failures, count = 0, count + 1
                if count <= max_packets:  # each takes a byte: a demuxer in a loop has more
                    report_progress()
                yield packet
            return
        except IndexError:
            # PyAV asks at the end for all streams that FFmpeg has found, also those that it found
            # late and PyAV does not know: all packets were read by then.
            return
        except av.FFmpegError:
            failures += 1


class Clock(NamedTuple):
    """Seconds to add to the time stamps of a file so that its parts follow one another.

    ``shifts`` has for each stream, by its index, the packets (counted in that stream) from which on
    a shift holds, and the shifts; a file of one part has none.
    """

    shifts: dict[int, tuple[list[int], list[float]]]


class Stretch(NamedTuple):
    """Packets of a stream between which the clock does not jump.

    ``position`` is where they start among the packets of the file, ``packet`` among those of their
    stream, ``jump`` by how many seconds the clock jumped there; ``begin`` and ``end`` in seconds.
    """

    position: int
    packet: int
    jump: float
    begin: float
    end: float


def read_clock(path: Path, format_name: str | None = None) -> Clock:
    """Find the joints of a file by the time stamps of its packets, without decoding any.

    Most formats cannot be joined: where ``format_name`` is one of those, nothing is read.

    All streams of a part are shifted alike, so that picture and sound stay together; the first of
    them starts where the last one of the part before has ended.

    Raises:
        Unreadable: the file cannot be opened.
    """
    if format_name is not None and format_name not in JOINABLE_FORMATS:
        return Clock({})
    status = path.stat()
    return _read_clock(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # sound and pictures of a clip ask for the same one
def _read_clock(path: Path, _changed: int, _size: int) -> Clock:
    with open_media(path) as container:
        if container.format.name not in JOINABLE_FORMATS:
            return Clock({})
        stretches = _find_stretches(container)

    stretches = {index: keep_joints(own, stretches) for index, own in stretches.items()}
    if all(len(own) == 1 for own in stretches.values()):
        return Clock({})
    return Clock(compute_shifts(stretches))


def _find_stretches(container: InputContainer) -> dict[int, list[Stretch]]:
    """Stretches of each stream of sound or pictures that has any time stamp."""
    streams = [s.index for s in container.streams if s.type in ("audio", "video")]
    stretches: dict[int, list[Stretch]] = {}
    counts, clocks = dict.fromkeys(streams, 0), dict.fromkeys(streams, 0.0)

    for position, packet in enumerate(demux(container, streams)):
        index = packet.stream.index
        number, counts[index] = counts[index], counts[index] + 1
        shown = packet.dts if packet.pts is None else packet.pts
        decoded = packet.pts if packet.dts is None else packet.dts
        if shown is None or decoded is None or packet.time_base is None:
            continue

        time, shown_at = float(decoded * packet.time_base), float(shown * packet.time_base)
        found = stretches.setdefault(index, [])
        jump = time - clocks[index] if found else 0.0
        if not found or not MIN_JUMP_BACK <= jump <= MIN_JUMP_AHEAD:
            found.append(Stretch(position, number, jump, shown_at, shown_at))
            jump = 0.0

        length = float((packet.duration or 0) * packet.time_base)
        clocks[index] = time + length
        last, end = found[-1], shown_at + (length or max(0.0, jump))
        found[-1] = last._replace(begin=min(last.begin, shown_at), end=max(last.end, end))
    return stretches


def keep_joints(own: list[Stretch], stretches: dict[int, list[Stretch]]) -> list[Stretch]:
    """Merge stretches of a stream between which nothing was joined: it alone has a gap there.

    Where no other of all ``stretches`` shows which it is, a gap is a joint unless it is too long.
    """
    kept = own[:1]
    witnesses = [
        (other[0].begin, other[-1].end, sorted(stretch.jump for stretch in other[1:]))
        for other in stretches.values()
        if other is not own
    ]

    for stretch in own[1:]:
        others = [
            jumps for begin, end, jumps in witnesses if begin < kept[-1].end and end > stretch.begin
        ]
        alike = any(_has_similar(jumps, stretch.jump) for jumps in others)
        if stretch.jump > 0 and (not alike if others else stretch.jump < MAX_GAP):
            kept[-1] = kept[-1]._replace(end=max(kept[-1].end, stretch.end))
        else:
            kept.append(stretch)
    return kept


def _has_similar(ascending_jumps: list[float], jump: float) -> bool:
    index = bisect_right(ascending_jumps, jump - JUMP_TOLERANCE)
    return index < len(ascending_jumps) and ascending_jumps[index] < jump + JUMP_TOLERANCE


def compute_shifts(
    stretches: dict[int, list[Stretch]],
) -> dict[int, tuple[list[int], list[float]]]:
    """Shifts of a clock, one for each part of the file, by the joints of its streams."""
    joints = [stretch.position for stretch in max(stretches.values(), key=len)]
    parts = {index: _assign_parts(own, joints) for index, own in stretches.items()}
    members: list[list[Stretch]] = [[] for _ in joints]
    for index, own in stretches.items():
        for stretch, part in zip(own, parts[index], strict=True):
            members[part].append(stretch)

    shifts: list[float] = []
    end = 0.0
    for inside in members:
        shifts.append(end - min(stretch.begin for stretch in inside) if shifts else 0.0)
        end = max(stretch.end for stretch in inside) + shifts[-1]

    return {
        index: ([stretch.packet for stretch in own], [shifts[part] for part in parts[index]])
        for index, own in stretches.items()
    }


def _assign_parts(own: list[Stretch], joints: list[int]) -> list[int]:
    """Part of each stretch, where parts start at the ``joints``; a stream may lack some."""
    if len(own) == len(joints):
        return list(range(len(joints)))

    parts = [max(0, bisect_right(joints, own[0].position) - 1)]
    for stretch in own[1:]:
        after = bisect_left(joints, stretch.position)
        near = range(max(0, after - 1), min(len(joints), after + 1))
        parts.append(min(near, key=lambda part: abs(joints[part] - stretch.position)))
    return parts


def rejoin_packets(packets: Iterable[Packet], clock: Clock) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield the packets of a file, from its first on, with time stamps on one clock."""
    counts: dict[int, int] = {}
    for packet in packets:
        index = packet.stream.index
        number = counts.get(index, 0)
        counts[index] = number + 1

        if index in clock.shifts and packet.time_base is not None:
            firsts, shifts = clock.shifts[index]
            shift = round(shifts[max(0, bisect_right(firsts, number) - 1)] / packet.time_base)
            packet.pts = packet.pts if packet.pts is None else packet.pts + shift
            packet.dts = packet.dts if packet.dts is None else packet.dts + shift
        yield packet
