"""The clock of recordings that were joined, and their packets."""

from fractions import Fraction
from unittest.mock import Mock

import av
import numpy as np
import pytest
from av.container import InputContainer
from conftest import tone, write_video
from corrupt_files import gray

from avfusion.features.audio import decode_audio
from avfusion.features.container import (
    Stretch,
    compute_shifts,
    demux,
    keep_joints,
    listen_to_progress,
    open_media,
    read_clock,
    rejoin_packets,
)


def write_part(path, seconds, pitch=220.0):
    times = [n / 25 for n in range(round(25 * seconds))]
    return write_video(path, [gray(90)] * len(times), times, tone(seconds, pitch=pitch))


def join(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def decoding_times(path):
    """The seconds of each stream's packets on the one clock of a file."""
    times = {}
    with open_media(path) as container:
        packets = demux(container, [stream.index for stream in container.streams])
        for packet in rejoin_packets(packets, read_clock(path)):
            if packet.dts is not None:
                times.setdefault(packet.stream.type, []).append(packet.dts * packet.time_base)
    return {kind: np.array([float(time) for time in found]) for kind, found in times.items()}


@pytest.mark.parametrize("kind", ["ts", "mpg"])
@pytest.mark.parametrize("lengths", [(2.0, 3.0), (3.0, 1.0), (1.0, 1.0, 1.0)])
def test_parts_follow_one_another_with_sound_and_picture_together(tmp_path, kind, lengths):
    parts = [write_part(tmp_path / f"{n}.{kind}", length) for n, length in enumerate(lengths)]
    times = decoding_times(join(tmp_path / f"joined.{kind}", *parts))
    alone = [decoding_times(part) for part in parts]
    for kind_of_stream, found in times.items():
        assert np.all(np.diff(found) > -1e-6)
        assert found[-1] - found[0] == pytest.approx(sum(lengths), abs=0.3)
        counts = [len(part[kind_of_stream]) for part in alone]
        assert len(found) == pytest.approx(sum(counts), abs=len(counts))
    place = {kind_of_stream: found[-1] for kind_of_stream, found in times.items()}
    last = {kind_of_stream: found[-1] for kind_of_stream, found in alone[-1].items()}
    # Within the last part, sound and picture are as far from one another as they were in its file.
    assert place["audio"] - place["video"] == pytest.approx(last["audio"] - last["video"], abs=1e-3)


def test_a_recording_of_one_part_keeps_its_time_stamps(tmp_path):
    for kind in ("ts", "mpg", "mp4", "mkv"):
        assert read_clock(write_part(tmp_path / f"a.{kind}", 1.0)).shifts == {}


def test_a_sound_that_pauses_in_a_video_that_goes_on_is_not_joined_there(tmp_path):
    path = tmp_path / "a.ts"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=5)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=16_000, layout="mono")
        packets = []
        for number in range(100):
            frame = av.VideoFrame.from_ndarray(gray(90), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            packets += video.encode(frame)
        frame = av.AudioFrame.from_ndarray(np.int16(20_000 * tone(20.0))[None], "s16", "mono")
        frame.rate, frame.pts = 16_000, 0
        heard = [*sound.encode(frame), *sound.encode(None)]
        packets += [*video.encode(None), *(p for p in heard if not 3 < p.pts * p.time_base < 16)]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    assert read_clock(path).shifts == {}


def test_a_file_that_was_replaced_has_the_clock_of_its_new_content(tmp_path):
    part = write_part(tmp_path / "a.ts", 1.0)
    path = join(tmp_path / "b.ts", part, part)
    assert read_clock(path).shifts
    assert read_clock(join(path, part)).shifts == {}


def write_paused(path, pause, codec="aac"):
    """Write three seconds of sound with a pause of so many seconds in the middle."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream(codec, rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.int16(20_000 * tone(3.0))[None], "s16", "mono")
        frame.rate, frame.pts = 16_000, 0
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            if packet.pts * packet.time_base > 1.5:
                packet.pts = packet.dts = packet.pts + round(pause / packet.time_base)
            container.mux(packet)
    return path


@pytest.mark.parametrize(("pause", "kept"), [(30, 30), (550, 550), (700, 0)])
def test_a_sound_alone_that_pauses_is_silent_for_as_long_whatever_holds_it(tmp_path, pause, kept):
    for kind in ("ts", "mkv"):
        sound = decode_audio(write_paused(tmp_path / f"a.{kind}", pause), slice(0, 0))
        assert sound.total / 16_000 == pytest.approx(3 + kept, abs=0.2), kind


def test_the_end_of_a_file_whose_streams_appeared_late_is_an_end():
    def packets(_streams):
        yield from "abc"
        raise IndexError("list index out of range")

    container = Mock(spec=InputContainer, demux=packets, streams=["stream"], size=100)
    assert [*demux(container, [0])] == ["a", "b", "c"]


def test_a_demuxer_that_has_more_packets_than_bytes_comes_no_further():
    calls = []
    container = Mock(
        spec=InputContainer, demux=lambda _streams: iter(range(50)), streams=["s"], size=20
    )
    with listen_to_progress(lambda: calls.append(1)):
        assert len([*demux(container, [0])]) == 50
    assert len(calls) == 20


@pytest.mark.slow
def test_each_of_many_parts_starts_where_the_one_before_has_ended():
    count = 20_000  # which would take minutes if each part were compared to each other

    def stretch(part, stream):
        return Stretch(2 * part + stream, 10 * part, -2.0 if part else 0.0, 1.0, 3.0)

    stretches = {
        0: [stretch(part, 0) for part in range(count)],
        1: [stretch(part, 1) for part in range(count) if part != 7],  # lacks in one part
    }
    stretches = {index: keep_joints(found, stretches) for index, found in stretches.items()}
    shifts = compute_shifts(stretches)
    meant = [0.0, *(2.0 * part for part in range(1, count))]
    assert shifts[0] == ([10 * part for part in range(count)], meant)
    assert shifts[1][1] == meant[:7] + meant[8:]
