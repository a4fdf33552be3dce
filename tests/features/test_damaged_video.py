"""Videos that are joined, damaged or cut, in every format alike."""

from fractions import Fraction

import av
import numpy as np
import pytest
from conftest import SHARED, tone

from avfusion.corpora import Recording
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies, video
from avfusion.features.policies import Unreadable
from avfusion.features.video import read_frame_times, read_video, read_video_span

COUNT, RATE = 40, 25
HEIGHT, WIDTH = 48, 64
# Name and codec; those in FORMATS_WITH_LENGTH have headers, in front, that say how long they are.
FORMATS = [
    ("a.mp4", "libx264"),
    ("b.mp4", "mpeg4"),
    ("c.mp4", "libx265"),
    ("a.mov", "mjpeg"),
    ("a.mkv", "libx264"),
    ("a.flv", "libx264"),
    ("a.avi", "mpeg4"),
    ("b.avi", "mjpeg"),
    ("a.wmv", "wmv2"),
    ("a.ts", "libx264"),
    ("b.ts", "mpeg2video"),
    ("a.mpg", "mpeg2video"),
]
FORMATS_WITH_LENGTH = FORMATS[:9]
# Bytes in front of a packet's data. These begin with the length of a slice, in H.264 and HEVC:
# without it nothing is decoded, whereas of a slice that is damaged behind it a picture may be made.
PACKET_HEADERS = {".mp4": 0, ".mov": 0, ".mkv": 4, ".flv": 16}


def write_numbers(path, codec="libx264", start=0.0, first=0, count=COUNT, form=None, **options):
    """Write pictures of which each shows its number, by grays above and below some noise."""
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    muxing = {"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    if codec == "libx265":
        options["x265-params"] = "log-level=none"
    with av.open(str(path), "w", format=form, options=muxing) as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        stream.codec_context.gop_size, stream.bit_rate = 10, 8_000_000
        noise = np.random.default_rng(0).integers(0, 256, (99, HEIGHT // 3, WIDTH, 3), np.uint8)
        for number in range(first, first + count):
            picture = np.full((HEIGHT, WIDTH, 3), 20 + 12 * (number % 16), np.uint8)
            picture[: HEIGHT // 2] = 20 + 12 * (number // 16)
            picture[HEIGHT // 3 : -HEIGHT // 3] = noise[number]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number - first + round(start * RATE), Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(pictures):
    """Read the numbers that pictures show."""
    quarter = HEIGHT // 4
    return [
        16 * round((picture[:quarter].mean() - 20) / 12)
        + round((picture[-quarter:].mean() - 20) / 12)
        for picture in pictures
    ]


def read_shown(path, count=COUNT):
    """The numbers seen in the middle of each picture's time, and the share that is lost."""
    known = read_frame_times(path)
    shown = read_video(path, [known.times[0] + (n + 0.5) / RATE for n in range(count)])
    return numbers(shown.pictures), shown.loss


def packets(path):
    """Where packets lie in a file, as far as that is told, and how large they are."""
    with av.open(str(path)) as container:
        found = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), FORMATS)
def test_what_is_whole_loses_nothing(tmp_path, name, codec):
    shown, loss = read_shown(write_numbers(tmp_path / name, codec))
    assert shown == list(range(COUNT))
    assert loss.lost == 0 and loss.promised == pytest.approx(COUNT / RATE, abs=0.1)


@pytest.mark.parametrize(("name", "codec"), FORMATS)
def test_damage_loses_what_is_damaged_and_no_more(tmp_path, name, codec):
    path = write_numbers(tmp_path / name, codec)
    content, damaged = bytearray(path.read_bytes()), 17
    place, size = packets(path)[damaged]
    if place is None:  # program streams do not tell
        place, size = len(content) // 2, 600
    header = PACKET_HEADERS.get(path.suffix, size // 3)
    content[place + header : place + size] = np.random.default_rng(0).bytes(size - header)
    path.write_bytes(content)
    shown, loss = read_shown(path)
    assert 0 < loss.lost <= 0.5 * loss.promised
    # At most up to the next key picture but one, as a packet of WMV holds the pictures of a second.
    first, behind = 8, 30
    assert shown[:first] == list(range(first))
    if name != "a.wmv":
        assert shown[behind:] == list(range(behind, COUNT))
        assert all(abs(number - place) <= 10 for place, number in enumerate(shown[:behind]))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec"), FORMATS_WITH_LENGTH)
def test_of_a_cut_video_the_rest_is_kept_unless_it_is_less_than_half(tmp_path, name, codec):
    path = write_numbers(tmp_path / name, codec)
    if codec == "mjpeg" and name == "a.mov":
        assert all(size for _, size in packets(path))
    places = packets(path)
    content = path.read_bytes()
    for kept in (33, 12):  # pictures
        place = places[kept][0]
        if name == "a.wmv":  # whose packets hold several
            place = len(content) * kept // COUNT
        path.write_bytes(content[:place])
        shown, loss = read_shown(path)
        whole = loss.promised - loss.lost
        assert loss.promised == pytest.approx(COUNT / RATE, abs=0.1)
        assert whole == pytest.approx(kept / RATE, abs=0.2)
        right = round(whole * RATE) - 5
        assert shown[:right] == list(range(right))


def test_what_is_lost_is_noted_or_skipped_by_policy(tmp_path):
    path = write_numbers(tmp_path / "a.mp4")
    content, places = path.read_bytes(), packets(path)
    recording = Recording("a", "", "", "test", video=path)
    face, audio = FaceFeatures(size=32), AudioFeatures()

    def features(**chosen):
        return Features(face, audio, Policies(missing="mask", **chosen))(recording)

    assert "lost" not in features().note
    path.write_bytes(content[: places[30][0]])
    assert "damaged: 0.4" in features().note and "of 1.60 s of pictures lost" in features().note
    for policy in ("skip", "error"):
        with pytest.raises(Unreadable, match=r"a\.mp4: damaged .0\.4. of 1\.60 s of") as refusal:
            features(damaged=policy)
        assert refusal.value.fatal == (policy == "error")
    path.write_bytes(content[: places[10][0]])
    with pytest.raises(Unreadable, match=r"a\.mp4: truncated .1\.2. of 1\.60 s of pic") as skip:
        features()
    assert skip.value.reason == "truncated" and not skip.value.fatal
    assert "truncated: 1.2" in features(truncated="keep").note


def test_a_rate_that_varies_is_no_damage(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = 40 * number + 60 * max(0, number - 20), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert read_video(path, [0.5]).loss.lost == 0


def test_a_video_may_be_shorter_than_its_sound(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("libx264", rate=RATE)
        pictures.width, pictures.height, pictures.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        wave = (tone(3.0)[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        frame.rate, frame.pts = 16_000, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert read_video(path, [0.1]).loss.lost == 0


@pytest.mark.slow
@pytest.mark.parametrize("starts", [(0, 0), (7, 0), (0, 3), (0, 1000), (1000, 0), (70, 90)])
@pytest.mark.parametrize("codec", ["libx264", "mpeg2video"])
@pytest.mark.parametrize("far", [30.0, 0.5])
def test_the_parts_of_a_joined_stream_follow_one_another(tmp_path, monkeypatch, starts, codec, far):
    monkeypatch.setattr(video, "SEEK_AFTER", far)
    one = write_numbers(tmp_path / "a.ts", codec, starts[0])
    other = write_numbers(tmp_path / "b.ts", codec, starts[1], first=COUNT)
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    first, last = read_video_span(both)
    if starts in [(0, 3), (70, 90)]:  # a jump as small as a pause would make it
        pause = starts[1] - starts[0]
        assert last - first == pytest.approx(pause + (COUNT - 1) / RATE, abs=0.1)
        assert numbers(read_video(both, [first, last]).pictures) == [0, 2 * COUNT - 1]
        return
    assert last - first == pytest.approx((2 * COUNT - 1) / RATE, abs=0.15)
    times = [first + (n + 0.5) / RATE for n in range(2 * COUNT)]
    shown = read_video(both, times)
    assert numbers(shown.pictures) == pytest.approx(list(range(2 * COUNT)), abs=2)
    assert numbers(read_video(both, times[60:]).pictures) == numbers(shown.pictures[60:])
    assert shown.loss.lost == 0


RAW = [
    ("a.h264", "libx264", "h264", {}),
    ("b.h264", "libx264", "h264", {"bf": "3"}),
    ("c.h264", "libx264", "h264", {"bf": "0"}),
    ("a.h265", "libx265", "hevc", {}),
    ("a.mjpeg", "mjpeg", "mjpeg", {}),
    ("a.m4v", "mpeg4", "m4v", {}),
    ("b.m4v", "mpeg4", "m4v", {"bf": "2"}),
    ("a.m2v", "mpeg2video", "mpeg2video", {}),
    ("b.m2v", "mpeg2video", "mpeg2video", {"bf": "2"}),
    ("a.m1v", "mpeg1video", "mpeg1video", {}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "codec", "form", "options"), RAW)
def test_pictures_without_time_stamps_are_evenly_spaced(tmp_path, name, codec, form, options):
    path = write_numbers(tmp_path / name, codec, form=form, **options)
    first, last = read_video_span(path)
    assert last - first == pytest.approx((COUNT - 1) / RATE, abs=0.001)
    shown, loss = read_shown(path)
    assert shown == list(range(COUNT)) and loss.lost == 0
    clip = Features(
        FaceFeatures(size=32, num_frames=COUNT - 1), AudioFeatures(), Policies(missing="mask")
    )(Recording("a", "", "", "test", video=path))
    assert clip.note.startswith("no sound") and "lost" not in clip.note


def test_the_rate_of_a_raw_stream_is_that_of_its_header(tmp_path):
    for rate in (10, 50):
        path = tmp_path / f"{rate}.h264"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for number in range(20):
                frame = av.VideoFrame.from_ndarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        assert read_video_span(path) == pytest.approx((0, 19 / rate))


@pytest.mark.skipif(not (SHARED / "bad" / "reported").is_dir(), reason=f"nothing in {SHARED}")
class TestReported:
    """Small inputs behind public reports."""

    reported = SHARED / "bad" / "reported"

    def test_picture_n_shows_n_in_binary(self):
        path = self.reported / "no_time_stamps" / "raw.h264"
        pictures = read_video(path, [(n + 0.5) / 25 for n in range(100)]).pictures
        with av.open(str(path)) as container:
            decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(decoded) == 100
        assert all(np.array_equal(one, other) for one, other in zip(pictures, decoded, strict=True))

    def test_pixels_of_four_by_three(self):
        path = self.reported / "anamorphic" / "sar.mp4"
        assert read_video(path, [1.0]).pictures[0].shape == (240, 427, 3)
