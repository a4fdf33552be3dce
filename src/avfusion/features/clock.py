"""One clock for the parts of a recording that was joined from several.

Transport streams may be joined by writing one behind the other, as cameras and recorders do at
every file of their size limit. Each part has time stamps of its own, which mostly start again from
the same number.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet

from avfusion.features.source import advance, opened

JOINABLE = {"mpegts", "mpeg", "ogg"}  # formats that stay valid when files are joined
# Seconds by which a clock jumps back or ahead at a joint, much as FFmpeg's own program takes them:
# less is jitter, or a gap within one recording.
BACK, AHEAD = -0.1, 10.0
ALIKE = 5.0  # seconds; streams that jump ahead at the same joint do so by as much
LONGEST = 600.0  # seconds of a gap; what is longer is a clock that jumped
FAILURES = 100  # packets in a row that cannot be read, after which a file has ended


class Clock(NamedTuple):
    """Seconds to add to the time stamps of a file so that its parts follow one another.

    ``shifts`` has for each stream, by its index, the packets (counted in that stream) from which on
    a shift holds, and the shifts; a file of one part has none.
    """

    shifts: dict[int, tuple[list[int], list[float]]]


class Run(NamedTuple):
    """A stretch of a stream whose clock does not jump, in packets and in seconds.

    ``place`` is where it starts among the packets of the file, ``packet`` among those of its
    stream, ``jump`` by how much the clock jumped there.
    """

    place: int
    packet: int
    jump: float
    begin: float
    end: float


def read_clock(path: Path) -> Clock:
    """Find the joints of a file by the time stamps of its packets, without decoding any.

    All streams of a part are shifted alike, so that picture and sound stay together; the first of
    them starts where the last one of the part before has ended.

    Raises:
        Unreadable: the file cannot be opened.
    """
    status = path.stat()
    return _clock(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # sound and pictures of a clip ask for the same one
def _clock(path: Path, _changed: int, _size: int) -> Clock:
    with opened(path) as container:
        if container.format.name not in JOINABLE:
            return Clock({})
        runs = find_runs(container)
    runs = {index: joints_only(found, runs) for index, found in runs.items()}
    if all(len(found) == 1 for found in runs.values()):
        return Clock({})
    return Clock(shifts_of(runs))


def find_runs(container: InputContainer) -> dict[int, list[Run]]:
    """Return the runs of each stream of sound or pictures that has any time stamp."""
    streams = [s.index for s in container.streams if s.type in ("audio", "video")]
    runs: dict[int, list[Run]] = {}
    counts, clocks = dict.fromkeys(streams, 0), dict.fromkeys(streams, 0.0)
    for place, packet in enumerate(demux(container, streams)):
        index = packet.stream.index
        number, counts[index] = counts[index], counts[index] + 1
        shown = packet.dts if packet.pts is None else packet.pts
        decoded = packet.pts if packet.dts is None else packet.dts
        if shown is None or decoded is None or packet.time_base is None:
            continue
        time, shown_at = float(decoded * packet.time_base), float(shown * packet.time_base)
        found = runs.setdefault(index, [])
        jump = time - clocks[index] if found else 0.0
        if not found or not BACK <= jump <= AHEAD:
            found.append(Run(place, number, jump, shown_at, shown_at))
            jump = 0.0
        length = float((packet.duration or 0) * packet.time_base)
        clocks[index] = time + length
        run, end = found[-1], shown_at + (length or max(0.0, jump))
        found[-1] = run._replace(begin=min(run.begin, shown_at), end=max(run.end, end))
    return runs


def demux(container: InputContainer, streams: list[int]) -> Iterator[Packet]:  # type: ignore[type-arg]
    """Yield packets up to the last that can be read; a damaged one ends nothing."""
    failures, count, most = 0, 0, container.size
    while failures < FAILURES:
        try:
            for packet in container.demux([container.streams[index] for index in streams]):
                failures, count = 0, count + 1
                if count <= most:  # each takes a byte: a demuxer in a loop has more
                    advance()
                yield packet
            return
        except IndexError:
            # PyAV asks at the end for all streams that FFmpeg has found, also those that it found
            # late and PyAV does not know: all packets were read by then.
            return
        except av.FFmpegError:
            failures += 1


def joints_only(found: list[Run], runs: dict[int, list[Run]]) -> list[Run]:
    """Merge runs that are parted by a gap of one stream only: nothing is joined there.

    Where no other stream tells a gap from a joint, it is one unless it is too long.
    """
    kept = found[:1]
    witnesses = [
        (other[0].begin, other[-1].end, sorted(run.jump for run in other[1:]))
        for other in runs.values()
        if other is not found
    ]
    for run in found[1:]:
        others = [
            jumps for begin, end, jumps in witnesses if begin < kept[-1].end and end > run.begin
        ]
        alike = any(has_near(jumps, run.jump) for jumps in others)
        if run.jump > 0 and (not alike if others else run.jump < LONGEST):
            kept[-1] = kept[-1]._replace(end=max(kept[-1].end, run.end))
        else:
            kept.append(run)
    return kept


def has_near(jumps: list[float], jump: float) -> bool:
    """Say whether one of rising jumps is like another one."""
    place = bisect_right(jumps, jump - ALIKE)
    return place < len(jumps) and jumps[place] < jump + ALIKE


def shifts_of(runs: dict[int, list[Run]]) -> dict[int, tuple[list[int], list[float]]]:
    """Return the shifts of a clock: one for each part of the file."""
    places = [run.place for run in max(runs.values(), key=len)]
    parts = {index: parts_of(found, places) for index, found in runs.items()}
    members: list[list[Run]] = [[] for _ in places]
    for index, found in runs.items():
        for run, part in zip(found, parts[index], strict=True):
            members[part].append(run)
    shifts: list[float] = []
    end = 0.0
    for inside in members:
        shifts.append(end - min(run.begin for run in inside) if shifts else 0.0)
        end = max(run.end for run in inside) + shifts[-1]
    return {
        index: ([run.packet for run in found], [shifts[part] for part in parts[index]])
        for index, found in runs.items()
    }


def parts_of(found: list[Run], places: list[int]) -> list[int]:
    """Return the part of each run, where parts start at ``places``; a stream may lack some."""
    if len(found) == len(places):
        return list(range(len(places)))
    parts = [max(0, bisect_right(places, found[0].place) - 1)]
    for run in found[1:]:
        after = bisect_left(places, run.place)
        near = range(max(0, after - 1), min(len(places), after + 1))
        parts.append(min(near, key=lambda part: abs(places[part] - run.place)))
    return parts


def rejoin(packets: Iterable[Packet], clock: Clock) -> Iterator[Packet]:  # type: ignore[type-arg]
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
