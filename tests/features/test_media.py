"""Claims about decoding."""

import struct
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
from conftest import tone, write_picture, write_sound, write_video
from PIL import Image

from avfusion.features import media
from avfusion.features.media import (
    Unreadable,
    read_frames,
    read_picture,
    read_sound,
    read_video,
)

WIDTH, HEIGHT = 64, 48
EXIF_ORIENTATION = 0x0112
FASTSTART = {"movflags": "faststart"}


def whole_sound(path):
    """Return all samples and the start in seconds."""
    sound = read_sound(path, lambda total: slice(0, total))
    assert sound.first == 0 and sound.total == len(sound.samples)
    return sound.samples, sound.start


def pitch_of(sound):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return spectrum.argmax() * 16_000 / len(sound)


def gray(level, width=WIDTH, height=HEIGHT):
    return np.full((height, width, 3), level, np.uint8)


def levels(pictures):
    """Turn pictures of one gray level into the number of the picture, 20 levels apart."""
    return [round((picture.mean() - 20) / 20) for picture in pictures]


def steps(count):
    return [gray(20 + 20 * number) for number in range(count)]


def marked(marker=16):
    picture = gray(20)
    picture[:marker, :marker] = 235
    return picture


def corner(picture):
    rows, columns = np.where(picture[..., 0] > 128)
    height, width, _ = picture.shape
    vertical = "top" if rows.mean() < height / 2 else "bottom"
    return f"{vertical} {'left' if columns.mean() < width / 2 else 'right'}"


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a", "mp4"])
def test_every_kind_of_sound_gives_its_seconds_and_its_pitch(tmp_path, kind):
    path, wave = tmp_path / f"a.{kind}", tone(1.0, pitch=440)
    if kind == "mp4":
        write_video(path, steps(10), [n / 10 for n in range(10)], wave)
    else:
        write_sound(path, wave)
    sound, _ = whole_sound(path)
    assert len(sound) / 16_000 == pytest.approx(1.0, abs=0.1)
    assert pitch_of(sound) == pytest.approx(440, abs=2)
    assert sound.std() == pytest.approx(wave.std(), rel=0.06)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_lossless_sound_comes_back_sample_by_sample(tmp_path, kind):
    wave = tone(0.5)
    sound, start = whole_sound(write_sound(tmp_path / f"a.{kind}", wave))
    assert start == 0
    np.testing.assert_allclose(sound, wave, atol=2 / 2**15)


@pytest.mark.parametrize("kind", ["m4a", "mp4"])
def test_the_delay_of_the_encoder_is_taken_out(tmp_path, kind):
    wave = np.concatenate([np.zeros(8000), tone(0.5)])
    path = tmp_path / f"a.{kind}"
    if kind == "mp4":
        write_video(path, steps(10), [n / 10 for n in range(10)], wave)
    else:
        write_sound(path, wave)
    sound, start = whole_sound(path)
    onset = np.flatnonzero(np.abs(sound) > 0.2)[0] / 16_000 + start
    assert onset == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a"])
def test_channels_are_averaged(tmp_path, kind):
    left, right = tone(0.5, pitch=200), 0.5 * tone(0.5, pitch=500)
    both, _ = whole_sound(write_sound(tmp_path / f"both.{kind}", np.stack([left, right])))
    mean, _ = whole_sound(write_sound(tmp_path / f"mean.{kind}", (left + right) / 2))
    assert len(both) == len(mean)
    assert np.abs(both - mean).max() < 2 / 2**15 or kind in ("mp3", "m4a")
    assert np.corrcoef(both, mean)[0, 1] > 0.98
    assert both.std() == pytest.approx(mean.std(), rel=0.02)


def test_two_loud_channels_do_not_clip(tmp_path):
    loud = 0.99 * tone(0.5) / np.abs(tone(0.5)).max()
    sound, _ = whole_sound(write_sound(tmp_path / "a.wav", np.stack([loud, loud])))
    assert np.abs(sound).max() == pytest.approx(0.99, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_any_number_of_channels_becomes_one(tmp_path, channels):
    waves = np.stack([tone(0.2) * k / channels for k in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", waves, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(whole_sound(tmp_path / "a.wav")[0], waves.mean(1), atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_any_rate_becomes_16_kHz_with_the_same_seconds_and_pitch(tmp_path, rate):
    sound, _ = whole_sound(write_sound(tmp_path / "a.wav", tone(1.0, rate, 440), rate))
    assert len(sound) == pytest.approx(16_000, abs=1)
    assert pitch_of(sound) == pytest.approx(440, abs=2)
    assert sound[1000:-1000].std() == pytest.approx(tone(1.0).std(), rel=0.01)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_width_of_samples_keeps_loudness_and_zero(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(0.5), 16_000, subtype=subtype)
    sound, _ = whole_sound(tmp_path / "a.wav")
    assert sound.std() == pytest.approx(tone(0.5).std(), rel=0.01)
    assert abs(sound.mean()) < 5e-3


def test_a_sound_that_starts_late_says_when(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", steps(10), [n / 10 for n in range(10)], tone(0.5), sound_start=0.4
    )
    sound, start = whole_sound(path)
    assert start == pytest.approx(0.4, abs=0.07)
    assert len(sound) / 16_000 == pytest.approx(0.5, abs=0.13)


def test_a_wav_that_was_written_to_a_pipe_is_read_to_its_end(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(0.5))
    content = bytearray(path.read_bytes())
    data = content.index(b"data")
    content[4:8] = content[data + 4 : data + 8] = b"\xff" * 4
    path.write_bytes(content)
    assert len(whole_sound(path)[0]) == 8000


def silent_video(path):
    return write_video(path, steps(5), [n / 5 for n in range(5)])


def cut_in_half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def nan_sound(path):
    wave = tone(0.2)
    wave[100] = np.nan
    soundfile.write(path, wave, 16_000, subtype="FLOAT")


def truncated_sound(path):
    cut_in_half(write_sound(path, tone(3.0)))


def truncated_stream(path):
    """Cut a sound whose header comes first, as of files that are played while they load."""
    whole = write_sound(path.with_stem("whole"), tone(3.0), codec="pcm_s16le")
    with av.open(str(whole)) as source, av.open(str(path), "w", options=FASTSTART) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            packet.stream = stream
            if packet.dts is not None:
                target.mux(packet)
    cut_in_half(path)


def truncated_video(path):
    cut_in_half(write_video(path, steps(5), [n / 5 for n in range(5)], tone(1.0)))


def truncated_picture(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    cut_in_half(path)


def empty(path):
    path.touch()


def pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def garbage(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def text(path):
    path.write_text("This was to be a recording.\n" * 100)


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("half.wav", truncated_sound, "truncated"),
        ("half.flac", truncated_sound, "cannot be decoded"),
        ("half.m4a", truncated_sound, "cannot be decoded"),
        ("stream.mov", truncated_stream, "truncated"),
        ("half.mp4", truncated_video, "cannot be decoded"),
        ("empty.wav", empty, "empty file"),
        ("pointer.wav", pointer, "git-LFS pointer, run git lfs pull"),
        ("garbage.wav", garbage, "cannot be decoded"),
        ("text.wav", text, "cannot be decoded"),
        ("mute.mp4", silent_video, "no sound"),
        ("none.wav", lambda path: soundfile.write(path, np.zeros(0), 16_000), "empty sound track"),
        ("folder.wav", lambda path: path.mkdir(), "cannot be decoded"),
    ],
)
def test_a_sound_that_cannot_be_used_names_its_file_and_its_reason(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(Unreadable, match=rf"^{name}: {reason}") as refusal:
        whole_sound(tmp_path / name)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("half.jpg", truncated_picture, "cannot be decoded"),
        ("half.png", truncated_picture, "cannot be decoded"),
        ("empty.png", empty, "empty file"),
        ("pointer.jpg", pointer, "git-LFS pointer, run git lfs pull"),
        ("text.jpg", text, "cannot be decoded"),
        ("garbage.png", garbage, "cannot be decoded"),
    ],
)
def test_a_picture_that_cannot_be_used_names_its_file_and_its_reason(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(Unreadable, match=rf"^{name}: {reason}"):
        read_picture(tmp_path / name)


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


@pytest.mark.parametrize(
    ("orientation", "where"), [(1, "top left"), (6, "top right"), (8, "bottom left")]
)
def test_the_rotation_in_exif_is_applied(tmp_path, orientation, where):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(marked()).save(tmp_path / "a.jpg", exif=exif)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.shape == ((HEIGHT, WIDTH, 3) if orientation == 1 else (WIDTH, HEIGHT, 3))
    assert corner(picture) == where


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "png"), ("CMYK", "tif"), ("P", "png")])
def test_any_mode_of_a_picture_becomes_rgb(tmp_path, mode, kind):
    Image.new("RGB", (9, 7), (204, 51, 0)).convert(mode).save(tmp_path / f"a.{kind}")
    picture = read_picture(tmp_path / f"a.{kind}")
    assert picture.shape == (7, 9, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(picture[3, 4], (204, 51, 0), atol=1)


def test_gray_pictures_of_8_and_16_bits_become_the_same_rgb(tmp_path):
    ramp = np.arange(0, 256, 2, dtype=np.uint8).reshape(8, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    expected = np.repeat(ramp[..., None], 3, axis=2)
    assert np.array_equal(read_picture(tmp_path / "8.png"), expected)
    assert np.array_equal(read_picture(tmp_path / "16.png"), expected)


def test_a_picture_of_unknown_range_is_refused_rather_than_made_black(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match=r"a\.tif: brightness of unknown range"):
        read_picture(tmp_path / "a.tif")


def test_a_video_shows_what_is_on_the_screen_at_a_time_though_its_rate_varies(tmp_path):
    times = [0.0, 0.04, 0.08, 0.12, 1.0, 1.04, 2.0]
    path = write_video(tmp_path / "a.mp4", steps(7), times)
    asked = [0.0, 0.05, 0.11, 0.5, 0.99, 1.02, 1.5, 2.5]
    shown = [max(n for n, time in enumerate(times) if time <= moment) for moment in asked]
    assert levels(read_video(path, asked)) == shown


def test_a_video_whose_pictures_start_late_shows_the_first_before(tmp_path):
    path = write_video(tmp_path / "a.mp4", steps(3), [0.5, 0.7, 0.9], tone(1.0))
    assert levels(read_video(path, [0.0, 0.6, 0.8])) == [0, 0, 1]


def test_the_only_picture_of_a_video_is_repeated(tmp_path):
    path = write_video(tmp_path / "a.mp4", steps(1), [0.0], tone(0.5))
    pictures = read_video(path, [0.1, 0.2, 0.4])
    assert len(pictures) == 3 and levels(pictures) == [0, 0, 0]


def test_a_video_of_odd_size_keeps_it(tmp_path):
    path = write_video(tmp_path / "a.mp4", [gray(60, 33, 21)], [0.0], pixels="yuv444p")
    assert read_video(path, [0.0])[0].shape == (21, 33, 3)


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
    picture = read_video(path, [0.5])[0]
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


def test_frames_of_a_folder_are_taken_at_fractions_in_the_order_of_their_names(tmp_path):
    for number, picture in enumerate(steps(10)):
        Image.fromarray(picture).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert levels(read_frames(tmp_path, [0.0, 0.19, 0.5, 0.99, 1.0])) == [0, 1, 5, 9, 9]


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(Unreadable, match=f"{tmp_path.name}: no picture"):
        read_frames(tmp_path, [0.5])


def test_one_broken_frame_of_a_folder_is_named(tmp_path):
    write_picture(tmp_path / "0.png", (9, 9, 9))
    empty(tmp_path / "1.png")
    with pytest.raises(Unreadable, match=r"1\.png: empty file"):
        read_frames(tmp_path, [0.0, 0.9])


def test_metadata_in_an_odd_encoding_is_no_reason_to_fail(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w", options={"write_bext": "0"}) as container:
        container.metadata["title"] = "TITLE"
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.full((1, 960), 99, np.int16), "s16", "mono")
        frame.rate = 16_000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    content = (tmp_path / "a.wav").read_bytes()
    assert b"TITLE" in content
    (tmp_path / "a.wav").write_bytes(content.replace(b"TITLE", b"T\xffTL\xe9"))
    assert len(whole_sound(tmp_path / "a.wav")[0]) == 960


def test_numbers_of_frames_need_no_leading_zeros(tmp_path):
    for number in (1, 2, 10):
        write_picture(tmp_path / f"frame{number}.png", (20 * number,) * 3, size=(64, 64))
    middle, last = (picture[40, 40, 0] for picture in read_frames(tmp_path, [0.5, 1.0]))
    assert (middle, last) == (40, 200)


@pytest.mark.parametrize("held", [100, 16_000, 10**9])
def test_any_part_of_a_sound_is_the_same_however_little_is_held(tmp_path, monkeypatch, held):
    path = write_sound(tmp_path / "a.flac", tone(2.0, 44_100), rate=44_100)
    everything, start = whole_sound(path)
    monkeypatch.setattr(media, "HELD", held)
    part = read_sound(path, lambda total: slice(total // 2, total // 2 + 800))
    assert (part.first, part.total, part.start) == (len(everything) // 2, len(everything), start)
    np.testing.assert_array_equal(part.samples, everything[part.first :][:800])


@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts"])
def test_pictures_that_are_sought_are_those_that_decoding_leads_to(tmp_path, monkeypatch, kind):
    path = tmp_path / f"a.{kind}"
    write_video(path, steps(10), [second / 2 for second in range(10)])
    times = [2.6, 4.1]
    decoded = levels(read_video(path, times))
    monkeypatch.setattr(media, "FAR", 1.0)
    assert levels(read_video(path, times)) == decoded
    assert decoded == ([5, 8] if kind != "ts" else [3, 6])  # its clock starts later


def test_a_video_without_times_goes_by_its_rate(tmp_path):
    path = tmp_path / "a.h264"
    write_video(path, steps(10), [number / 25 for number in range(10)])
    assert levels(read_video(path, [0.1, 0.3])) == [2, 7]


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (12_000, 12_000)).save(tmp_path / "a.png")
    with pytest.raises(Unreadable, match=r"a\.png: picture too large .12000 x 12000"):
        read_picture(tmp_path / "a.png")


def test_the_memory_that_a_sound_needs_does_not_grow_with_its_length(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(0.1 * tone(1.0, 8000), 1200), 8000)  # 20 minutes
    monkeypatch.setattr(media, "HELD", 16_000)
    tracemalloc.start()
    sound = read_sound(path, lambda total: slice(total // 2, total // 2 + 800))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sound.total == pytest.approx(1200 * 16_000, abs=100) and len(sound.samples) == 800
    assert most < 8 * 2**20  # all samples would be 73 MiB
