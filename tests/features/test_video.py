"""Decoding of videos."""

import struct
from fractions import Fraction
from types import SimpleNamespace
from unittest.mock import Mock

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from conftest import tone, write_picture, write_sound, write_video
from corrupt_files import (
    HEIGHT,
    WIDTH,
    corner,
    empty,
    gray,
    levels,
    marked,
    steps,
    text,
    truncated_video,
)

from avfusion.corpora import Recording
from avfusion.features import container, video
from avfusion.features import picture as pictures
from avfusion.features.policies import Unreadable
from avfusion.features.video import count_pictures, read_video


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("half.mp4", truncated_video, "cannot be decoded"),
        ("empty.mp4", empty, "empty file"),
        ("text.mp4", text, "cannot be decoded"),
        ("sound.m4a", lambda path: write_sound(path, tone(0.5)), "no picture"),
        ("sound.mp4", lambda path: write_sound(path, tone(0.5), codec="aac"), "no picture"),
    ],
)
def test_a_video_that_cannot_be_used_names_its_file_and_its_reason(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(Unreadable, match=rf"^{name}: {reason}"):
        read_video(tmp_path / name, [0.1])


def test_a_video_shows_what_is_on_the_screen_at_a_time_though_its_rate_varies(tmp_path):
    times = [0.0, 0.04, 0.08, 0.12, 1.0, 1.04, 2.0]
    path = write_video(tmp_path / "a.mp4", steps(7), times)
    asked = [0.0, 0.05, 0.11, 0.5, 0.99, 1.02, 1.5, 2.5]
    shown = [max(n for n, time in enumerate(times) if time <= moment) for moment in asked]
    assert levels(read_video(path, asked).pictures) == shown


def test_a_video_whose_pictures_start_late_shows_the_first_before(tmp_path):
    path = write_video(tmp_path / "a.mp4", steps(3), [0.5, 0.7, 0.9], tone(1.0))
    assert levels(read_video(path, [0.0, 0.6, 0.8]).pictures) == [0, 0, 1]


def test_the_only_picture_of_a_video_is_repeated(tmp_path):
    path = write_video(tmp_path / "a.mp4", steps(1), [0.0], tone(0.5))
    pictures = read_video(path, [0.1, 0.2, 0.4]).pictures
    assert len(pictures) == 3 and levels(pictures) == [0, 0, 0]


def test_a_video_of_odd_size_keeps_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", [gray(60, 33, 21)], [0.0], pixels="yuv444p")
    assert read_video(path, [0.0]).pictures[0].shape == (21, 33, 3)


@pytest.mark.parametrize(
    ("a", "b", "c", "d", "where"),
    [
        (0, 1, -1, 0, "top right"),  # a quarter clockwise, as of a phone held upright
        (0, -1, 1, 0, "bottom left"),
        (-1, 0, 0, -1, "bottom right"),
        (-1, 0, 0, 1, "top right"),  # a mirror image
        (1, 0, 0, -1, "bottom left"),
        (0, 1, 1, 0, "top left"),  # mirrored about the diagonal
    ],
)
def test_a_video_is_shown_as_its_display_matrix_asks(tmp_path, a, b, c, d, where):
    path = write_video(tmp_path / "a.mp4", [marked()] * 5, [n / 5 for n in range(5)])
    left, top = (-min(0, k * WIDTH, m * HEIGHT) for k, m in ((a, c), (b, d)))
    turn_display(path, a, b, c, d, left, top)
    picture = read_video(path, [0.5]).pictures[0]
    assert picture.shape == ((WIDTH, HEIGHT, 3) if a == 0 else (HEIGHT, WIDTH, 3))
    x, y = a * 8 + c * 8 + left, b * 8 + d * 8 + top
    rows, columns = np.where(picture[..., 0] > 128)
    assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((x, y), abs=1)
    assert corner(picture) == where


def turn_display(path, a, b, c, d, left, top):
    """Put a matrix into the track header, where an upright video has one that does nothing."""

    def fixed(*matrix):
        scaled = [number << (30 if place % 3 == 2 else 16) for place, number in enumerate(matrix)]
        return struct.pack(">9i", *scaled)

    content = path.read_bytes()
    place = content.index(fixed(1, 0, 0, 0, 1, 0, 0, 0, 1), content.index(b"tkhd"))
    matrix = fixed(a, b, 0, c, d, 0, left, top, 1)
    path.write_bytes(content[:place] + matrix + content[place + len(matrix) :])


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_pictures_that_are_sought_are_those_that_decoding_leads_to(tmp_path, monkeypatch, kind):
    path = tmp_path / f"a.{kind}"
    write_video(path, steps(10), [second / 2 for second in range(10)])
    times = [2.6, 4.1]
    decoded = levels(read_video(path, times).pictures)
    monkeypatch.setattr(video, "SEEK_AFTER", 1.0)
    assert levels(read_video(path, times).pictures) == decoded
    assert decoded == ([5, 8] if kind != "ts" else [3, 6])  # its clock starts later


def test_a_video_without_times_goes_by_its_rate(tmp_path):
    path = tmp_path / "a.h264"
    write_video(path, steps(10), [number / 25 for number in range(10)])
    assert levels(read_video(path, [0.1, 0.3]).pictures) == [2, 7]


def write_pictures(path, count: int, first: float, **options: str):
    """Write ten pictures a second with B-frames, the first at a time that may be below zero."""
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *steps(1)[0].shape[:2], "yuv420p"
        for number, picture in enumerate(steps(count)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number + round(10 * first), Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["mp4", "mov", "mkv"])
def test_pictures_before_zero_are_not_those_after_it(tmp_path, kind):
    # mp4 and mov have an edit list, which leaves them out; Matroska tells none of their times.
    path = write_pictures(tmp_path / f"a.{kind}", 10, -0.4, avoid_negative_ts="disabled")
    assert levels(read_video(path, [0.05, 0.15, 0.45]).pictures) == [4, 5, 8]


def test_pictures_of_an_avi_with_b_frames_are_in_time_once_times_have_gone_back(tmp_path):
    path = write_pictures(tmp_path / "a.avi", 11, 0.0)
    shown = levels(read_video(path, [moment / 10 + 0.05 for moment in range(10)]).pictures)
    delay = 2  # of the encoder; the file's clock starts with it
    assert shown[delay + 2 :] == list(range(2, 10 - delay))


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ([0, 1, 3, 4], [0, 1, 3, 4]),
        ([None, None, None], [0, 0.5, 1]),
        ([None, None, 7, None, 9], [6, 6.5, 7, 7.5, 9]),
        ([1, 4, 3, 5, 2], [1, 4, 12, 13, 14]),  # the time of decoding is 10 and more here
    ],
)
def test_pictures_without_a_right_time_are_given_one(told, meant):
    frames = [
        SimpleNamespace(time=time, dts=10 + number, time_base=Fraction(1))
        for number, time in enumerate(told)
    ]
    assert [time for time, _ in video.assign_times(iter(frames), 0.5)] == meant
    assert [frame for _, frame in video.assign_times(iter(frames), 0.5)] == frames
    assert list(video.assign_times(iter([]), 0.5)) == []


def test_a_video_of_more_pixels_than_fit_into_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(video, "MAX_VIDEO_PIXELS", 3000)
    write_video(tmp_path / "a.mp4", steps(2), [0.0, 0.1])
    with pytest.raises(Unreadable, match=r"a\.mp4: picture too large .64 x 48 pixels"):
        read_video(tmp_path / "a.mp4", [0.0])


def test_a_video_that_outgrows_what_its_header_says_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(container.OPEN_OPTIONS, "max_pixels", "2000")
    times = [number / 25 for number in range(4)]
    first = write_video(tmp_path / "a.ts", [gray(40, 32, 32)] * 4, times)
    then = write_video(tmp_path / "b.ts", [gray(200)] * 4, times)
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + then.read_bytes())
    with pytest.raises(Unreadable, match=r"both\.ts: cannot be decoded"):
        read_video(tmp_path / "both.ts", [9.0])


def test_a_large_video_is_reduced_to_the_means_of_its_squares(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_KEPT_PIXELS", 1000)
    path = write_video(tmp_path / "a.mp4", [marked(32)] * 3, [0.0, 0.1, 0.2])
    shown = read_video(path, [0.1])
    assert shown.reduction == 2 and shown.pictures[0].shape == (24, 32, 3)
    expected = marked(32).reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(shown.pictures[0], expected, atol=8)


@pytest.mark.parametrize(
    ("aspect", "width"),
    [
        (None, 64),
        (Fraction(1), 64),
        (Fraction(4, 3), 85),
        (Fraction(8, 9), 57),
        (Fraction(1, 99), 64),
    ],
)
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
def test_pixels_that_are_no_squares_are_shown_as_wide_as_they_are(tmp_path, kind, aspect, width):
    path = write_wide(tmp_path / f"a.{kind}", aspect)
    picture = read_video(path, [0.1]).pictures[0]
    assert picture.shape == (HEIGHT, width, 3)
    rows, columns = np.where(picture[..., 0] > 128)
    assert (rows.max() + 1) / HEIGHT == pytest.approx(1 / 3, abs=0.03)
    assert (columns.max() + 1) / width == pytest.approx(1 / 4, abs=0.03)


def test_pixels_are_stretched_before_they_are_turned(tmp_path):
    path = write_wide(tmp_path / "a.mp4", Fraction(4, 3))
    turn_display(path, 0, 1, -1, 0, HEIGHT, 0)
    picture = read_video(path, [0.1]).pictures[0]
    assert picture.shape == (85, HEIGHT, 3) and corner(picture) == "top right"


def write_wide(path, aspect):
    """Write a video whose pixels are not as wide as high."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".avi" else "libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = stream.sample_aspect_ratio = aspect
        for number in range(4):
            frame = av.VideoFrame.from_ndarray(marked(), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "error", [av.error.InvalidDataError, av.error.ArgumentError, av.error.PatchWelcomeError]
)
def test_a_packet_that_a_decoder_refuses_for_any_reason_is_one_damaged_picture(error):
    errors, frame = [0], SimpleNamespace(is_corrupt=False)

    def decode(packet):
        if packet == 1:
            raise error(1, "refused")
        return [frame]

    stream = Mock(spec=VideoStream, decode=decode)
    assert [*video.decode_packets(stream, iter(range(3)), errors)] == [frame, None, frame]
    assert errors == [1]


def test_the_end_of_a_decoder_is_no_damaged_picture():
    errors, frame = [0], SimpleNamespace(is_corrupt=False)

    def decode(packet):
        if packet:
            raise av.error.EOFError(1, "end of file")
        return [frame]

    stream = Mock(spec=VideoStream, decode=decode)
    assert [*video.decode_packets(stream, iter(range(3)), errors)] == [frame]
    assert errors == [0]


def recording(**files) -> Recording:
    return Recording("a", "", "", "test", **files)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_pictures_of_a_video_are_counted(tmp_path, suffix):
    pictures = [np.full((32, 32, 3), 10 * number, np.uint8) for number in range(20)]
    times = [number / 25 for number in range(20)]
    video = write_video(tmp_path / f"a{suffix}", pictures, times, tone(0.8))
    assert count_pictures(recording(video=video)) == pytest.approx(
        20, abs=2
    )  # Matroska tells the length alone


def test_the_frames_of_a_folder_are_counted_without_its_companions(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", (9, 9, 9))
    (tmp_path / "._0.png").touch()
    (tmp_path / "list.txt").touch()
    assert count_pictures(recording(image=tmp_path)) == 3


def test_one_picture_is_one_and_a_sound_has_none(tmp_path):
    picture = write_picture(tmp_path / "a.png", (9, 9, 9))
    sound = write_sound(tmp_path / "a.wav", tone(0.1))
    assert count_pictures(recording(image=picture, audio=sound)) == 1
    assert count_pictures(recording(audio=sound)) == 0


def test_a_file_that_cannot_be_opened_has_none_that_count(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert count_pictures(recording(video=tmp_path / "a.mp4")) == 0
    assert count_pictures(recording(video=tmp_path / "none.mp4")) == 0
