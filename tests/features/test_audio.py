"""Decoding of sounds."""

import tracemalloc

import av
import numpy as np
import pytest
import soundfile
from conftest import tone, write_sound, write_video
from corrupt_files import (
    empty,
    garbage,
    pointer,
    silent_video,
    steps,
    text,
    truncated_sound,
    truncated_stream,
    truncated_video,
)

from avfusion.features import audio as sounds
from avfusion.features.audio import decode_crop
from avfusion.features.policies import Unreadable


def decode_whole(path):
    """All samples and the start in seconds."""
    sound = decode_crop(path, lambda total: slice(0, total))
    assert sound.first == 0 and sound.total == len(sound.samples)
    return sound.samples, sound.start


def pitch_of(sound):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return spectrum.argmax() * 16_000 / len(sound)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a", "mp4"])
def test_every_kind_of_sound_gives_its_seconds_and_its_pitch(tmp_path, kind):
    path, wave = tmp_path / f"a.{kind}", tone(1.0, pitch=440)
    if kind == "mp4":
        write_video(path, steps(10), [n / 10 for n in range(10)], wave)
    else:
        write_sound(path, wave)
    sound, _ = decode_whole(path)
    assert len(sound) / 16_000 == pytest.approx(1.0, abs=0.1)
    assert pitch_of(sound) == pytest.approx(440, abs=2)
    assert sound.std() == pytest.approx(wave.std(), rel=0.06)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_lossless_sound_comes_back_sample_by_sample(tmp_path, kind):
    wave = tone(0.5)
    sound, start = decode_whole(write_sound(tmp_path / f"a.{kind}", wave))
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
    sound, start = decode_whole(path)
    onset = np.flatnonzero(np.abs(sound) > 0.2)[0] / 16_000 + start
    assert onset == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3", "m4a"])
def test_channels_are_averaged(tmp_path, kind):
    left, right = tone(0.5, pitch=200), 0.5 * tone(0.5, pitch=500)
    both, _ = decode_whole(write_sound(tmp_path / f"both.{kind}", np.stack([left, right])))
    mean, _ = decode_whole(write_sound(tmp_path / f"mean.{kind}", (left + right) / 2))
    assert len(both) == len(mean)
    assert np.abs(both - mean).max() < 2 / 2**15 or kind in ("mp3", "m4a")
    assert np.corrcoef(both, mean)[0, 1] > 0.98
    assert both.std() == pytest.approx(mean.std(), rel=0.02)


def test_two_loud_channels_do_not_clip(tmp_path):
    loud = 0.99 * tone(0.5) / np.abs(tone(0.5)).max()
    sound, _ = decode_whole(write_sound(tmp_path / "a.wav", np.stack([loud, loud])))
    assert np.abs(sound).max() == pytest.approx(0.99, abs=1e-3)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_any_number_of_channels_becomes_one(tmp_path, channels):
    waves = np.stack([tone(0.2) * k / channels for k in range(channels)], axis=1)
    soundfile.write(tmp_path / "a.wav", waves, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(decode_whole(tmp_path / "a.wav")[0], waves.mean(1), atol=1e-5)


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_any_rate_becomes_16_kHz_with_the_same_seconds_and_pitch(tmp_path, rate):
    sound, _ = decode_whole(write_sound(tmp_path / "a.wav", tone(1.0, rate, 440), rate))
    assert len(sound) == pytest.approx(16_000, abs=1)
    assert pitch_of(sound) == pytest.approx(440, abs=2)
    assert sound[1000:-1000].std() == pytest.approx(tone(1.0).std(), rel=0.01)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_width_of_samples_keeps_loudness_and_zero(tmp_path, subtype):
    soundfile.write(tmp_path / "a.wav", tone(0.5), 16_000, subtype=subtype)
    sound, _ = decode_whole(tmp_path / "a.wav")
    assert sound.std() == pytest.approx(tone(0.5).std(), rel=0.01)
    assert abs(sound.mean()) < 5e-3


def test_a_sound_that_starts_late_says_when(tmp_path):
    path = write_video(
        tmp_path / "a.mp4", steps(10), [n / 10 for n in range(10)], tone(0.5), sound_start=0.4
    )
    sound, start = decode_whole(path)
    assert start == pytest.approx(0.4, abs=0.07)
    assert len(sound) / 16_000 == pytest.approx(0.5, abs=0.13)


def write_broken(path, codec, change):
    """Write a low second and a high one, and ``change`` (time -> seconds later, None: lost)."""
    wave = np.concatenate([tone(1.0, 48_000, 220), tone(1.0, 48_000, 600)])
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        samples = (wave[None] * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.rate, frame.pts = 48_000, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            later = change(float(packet.pts * packet.time_base))
            if later is not None:
                packet.pts = packet.dts = packet.pts + round(later / packet.time_base)
                container.mux(packet)
    return path


def loudest_pitches(sound):
    """The pitch of each twentieth of a second, and zero for silence."""
    pieces = sound[: len(sound) // 800 * 800].reshape(-1, 800)
    return [round(pitch_of(piece)) if piece.std() > 1e-3 else 0 for piece in pieces]


@pytest.mark.parametrize(
    ("kind", "codec"), [("mp4", "aac"), ("mkv", "flac"), ("flv", "aac"), ("webm", "libopus")]
)
@pytest.mark.parametrize("change", ["lost", "paused"])
def test_a_gap_in_a_sound_is_silent_and_moves_nothing(tmp_path, kind, codec, change):
    changes = {
        "lost": lambda time: None if 0.3 < time < 0.8 else 0.0,
        "paused": lambda time: 0.5 if time > 0.3 else 0.0,
    }
    path = write_broken(tmp_path / f"a.{kind}", codec, changes[change])
    sound, _ = decode_whole(path)
    later = {"lost": 0.0, "paused": 0.5}[change]
    assert len(sound) / 16_000 == pytest.approx(2.0 + later, abs=0.12)
    pitches = loudest_pitches(sound)
    assert pitches.count(0) == pytest.approx(0.5 / 0.05, abs=3)
    first_high = next(place for place, pitch in enumerate(pitches) if pitch > 400)
    assert first_high * 0.05 == pytest.approx(1.0 + later, abs=0.11)


def test_a_clock_that_jumps_leaves_no_hours_of_silence(tmp_path):
    path = write_broken(tmp_path / "a.mkv", "flac", lambda time: 4000.0 if time > 0.3 else 0.0)
    assert len(decode_whole(path)[0]) / 16_000 == pytest.approx(2.0, abs=0.12)


def test_a_wav_that_was_written_to_a_pipe_is_read_to_its_end(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(0.5))
    content = bytearray(path.read_bytes())
    data = content.index(b"data")
    content[4:8] = content[data + 4 : data + 8] = b"\xff" * 4
    path.write_bytes(content)
    assert len(decode_whole(path)[0]) == 8000


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("half.m4a", truncated_sound, "cannot be decoded"),
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
        decode_whole(tmp_path / name)
    assert refusal.value.reason == reason


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("half.wav", truncated_sound),
        ("half.flac", truncated_sound),
        ("half.mp3", truncated_sound),
        ("stream.mov", truncated_stream),
    ],
)
def test_half_a_file_says_how_much_of_it_is_lost(tmp_path, name, write):
    write(tmp_path / name)
    sound = decode_crop(tmp_path / name, lambda total: slice(0, total))
    assert sound.promised == pytest.approx(3.0, abs=0.15)
    assert sound.promised == pytest.approx(sound.total / 16_000 + sound.lost, abs=1e-3)
    assert sound.lost == pytest.approx(1.5, abs=0.6) and sound.lost > 0.45 * sound.promised


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
    assert len(decode_whole(tmp_path / "a.wav")[0]) == 960


@pytest.mark.parametrize("held", [100, 16_000, 10**9])
def test_any_part_of_a_sound_is_the_same_however_little_is_held(tmp_path, monkeypatch, held):
    path = write_sound(tmp_path / "a.flac", tone(2.0, 44_100), rate=44_100)
    everything, start = decode_whole(path)
    monkeypatch.setattr(sounds, "MAX_SAMPLES", held)
    part = decode_crop(path, lambda total: slice(total // 2, total // 2 + 800))
    assert (part.first, part.total, part.start) == (len(everything) // 2, len(everything), start)
    np.testing.assert_array_equal(part.samples, everything[part.first :][:800])


@pytest.mark.slow
def test_the_memory_that_a_sound_needs_does_not_grow_with_its_length(tmp_path, monkeypatch):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(0.1 * tone(1.0, 8000), 180), 8000)  # 3 minutes
    monkeypatch.setattr(sounds, "MAX_SAMPLES", 16_000)
    tracemalloc.start()
    sound = decode_crop(path, lambda total: slice(total // 2, total // 2 + 800))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sound.total == pytest.approx(180 * 16_000, abs=100) and len(sound.samples) == 800
    print(most / 2**20)
    assert most < 4 * 2**20  # all samples would be 11 MiB
