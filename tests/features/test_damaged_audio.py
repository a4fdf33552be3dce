"""Sounds that are damaged, joined, or stored in an unusual way."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from conftest import tone, write_picture, write_sound, write_video
from corrupt_files import gray

from avfusion.corpora.recording import Recording
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies, Unreadable
from avfusion.features.audio import decode_crop

SECONDS = 3.0
TURN = 2.0  # a low tone before, a high one after
RATES = {"libopencore_amrnb": 8000}
FORMATS = [
    ("mp3", "libmp3lame"),
    ("aac", "aac"),
    ("ac3", "ac3"),
    ("ogg", "libopus"),
    ("oga", "flac"),
    ("flac", "flac"),
    ("m4a", "aac"),
    ("mp4", "libmp3lame"),
    ("mka", "aac"),
    ("webm", "libopus"),
    ("flv", "aac"),
    ("ts", "aac"),
    ("ts", "ac3"),
    ("mpg", "mp2"),
    ("avi", "mp2"),
    ("amr", "libopencore_amrnb"),
    ("wv", "wavpack"),
    ("tta", "tta"),
]
# Of these the header, the cluster or the page that is hit holds more than what is damaged.
LOSES_MORE = {"ogg", "oga", "mka", "webm", "wv", "tta", "avi"}
# A raw stream has no clock: where its packets are cannot be told once some are lost.
WITHOUT_CLOCK = {"mp3", "aac", "ac3", "amr"}


def decode_whole(path):
    return decode_crop(path, lambda total: slice(0, total))


def two_tones(codec):
    """Rate and samples of a low tone and a high one."""
    rate = RATES.get(codec, 48_000)
    wave = np.concatenate([tone(TURN, rate, 220), tone(SECONDS - TURN, rate, 600)])
    frame = av.AudioFrame.from_ndarray((wave[None] * 32767).astype(np.int16), "s16", "mono")
    frame.rate, frame.pts = rate, 0
    return rate, frame


def write(path, codec, change=lambda number, packet: packet):
    """Write a low tone and a high one; ``change`` may damage a packet, or leave it out."""
    rate, frame = two_tones(codec)
    with av.open(str(path), "w", format={".oga": "ogg"}.get(path.suffix)) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        for number, packet in enumerate([*stream.encode(frame), *stream.encode(None)]):
            changed = change(number, packet)
            if changed is not None:
                container.mux(changed)
    return path


def first_high(sound):
    """The second at which the high tone begins."""
    pieces = sound[: len(sound) // 800 * 800].reshape(-1, 800)
    spectra = np.abs(np.fft.rfft(pieces * np.hanning(800)))
    high = spectra[:, 27:].max(axis=1) > 2 * spectra[:, 8:15].max(axis=1)
    loud = pieces.std(axis=1) > 0.05
    heard = high & loud
    return np.flatnonzero(heard[:-1] & heard[1:])[0] * 0.05  # one alone is a click


def scrambled(content, place, length=300):
    noise = np.random.default_rng(0).bytes(length)
    return content[:place] + noise[: len(content) - place] + content[place + length :]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "codec"), FORMATS)
def test_a_whole_file_has_lost_nothing(tmp_path, kind, codec):
    sound = decode_whole(write(tmp_path / f"a.{kind}", codec))
    assert sound.lost == 0 and sound.notes == ()
    assert sound.total / 16_000 == pytest.approx(SECONDS, abs=0.1)
    assert first_high(sound.samples) == pytest.approx(TURN, abs=0.11)


@pytest.mark.parametrize(("kind", "codec"), [pair for pair in FORMATS if pair[0] != "mpg"])
def test_damage_in_the_middle_loses_its_own_time_and_what_follows_keeps_its_time(
    tmp_path, kind, codec
):
    path = write(tmp_path / f"a.{kind}", codec)
    content = path.read_bytes()
    path.write_bytes(scrambled(content, len(content) // 3, 40 if kind == "amr" else 300))
    sound = decode_whole(path)
    assert 0 < sound.lost < (SECONDS if kind in LOSES_MORE else 0.3)
    assert sound.promised == pytest.approx(SECONDS, abs=0.25)
    if sound.total / 16_000 > TURN + 0.3:
        abs_error = 0.25 if kind in WITHOUT_CLOCK else 0.11
        assert first_high(sound.samples) == pytest.approx(TURN, abs=abs_error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "codec"), [("m4a", "aac"), ("mka", "aac"), ("webm", "libopus"), ("flv", "aac")]
)
@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_one_packet_of_a_file_with_a_clock_is_silent_and_noted(tmp_path, kind, codec, how):
    def change(number, packet):
        if number != 30:
            return packet
        if how == "missing":
            return None
        bad = av.Packet(b"\xff" * packet.size)
        bad.stream, bad.pts, bad.dts = packet.stream, packet.pts, packet.dts
        bad.time_base, bad.duration = packet.time_base, packet.duration
        return bad

    alone = decode_whole(write(tmp_path / f"whole.{kind}", codec))
    sound = decode_whole(write(tmp_path / f"a.{kind}", codec, change))
    assert sound.total == pytest.approx(alone.total, abs=64)
    assert sound.lost == pytest.approx(0.021, abs=0.003)
    silent = np.flatnonzero(np.abs(sound.samples[8000:16_000]).reshape(-1, 80).max(axis=1) == 0)
    assert 1 <= len(silent) <= 5 or codec == "libopus"
    assert first_high(sound.samples) == pytest.approx(TURN, abs=0.06)


def test_packets_that_arrive_unevenly_are_not_lost(tmp_path):
    late = np.random.default_rng(0).integers(0, 19, 200)  # milliseconds, of packets of 21

    def change(number, packet):
        packet.pts = packet.dts = packet.pts + round(late[number] / 1000 / packet.time_base)
        return packet

    sound = decode_whole(write(tmp_path / "a.mka", "aac", change))
    assert sound.lost == 0
    assert sound.total / 16_000 == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.parametrize(
    ("kind", "codec"),
    [pair for pair in FORMATS if pair[0] not in ("m4a", "mp4", "ts", "mpg", "aac", "ac3", "amr")],
)
@pytest.mark.parametrize(("left", "reason"), [(0.8, "damaged"), (0.3, "truncated")])
def test_a_cut_file_is_damaged_or_truncated_in_every_format_that_promises_a_length(
    tmp_path, kind, codec, left, reason
):
    path = write(tmp_path / f"a.{kind}", codec)
    content = path.read_bytes()
    path.write_bytes(content[: round(left * len(content))])
    try:
        sound = decode_whole(path)
    except Unreadable as problem:  # not one block of these is left
        assert left < 0.5 and kind in LOSES_MORE
        assert problem.reason in ("empty sound track", "cannot be decoded")
        return
    if kind not in ("ogg", "oga"):  # which promise as much as the page that is cut
        assert sound.promised == pytest.approx(SECONDS, abs=0.1)
    notes = []
    policies = Policies(truncated="keep")
    policies.apply_to_loss(sound.lost, sound.promised, path, notes)
    if kind not in LOSES_MORE:
        assert notes[0].startswith(f"{reason}: ")
    assert len(notes) == 1


@pytest.mark.parametrize(("kind", "codec"), [("aac", "aac"), ("ac3", "ac3"), ("mpg", "mp2")])
def test_a_cut_end_of_a_stream_without_a_promised_length_loses_its_last_packet(
    tmp_path, kind, codec
):
    path = write(tmp_path / f"a.{kind}", codec)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4 - 9])
    assert 0 < decode_whole(path).lost < 0.1


def test_the_report_says_what_is_lost_and_policies_decide(tmp_path):
    path = write_sound(tmp_path / "a.wav", tone(3.0))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 9 // 10])
    face = write_picture(tmp_path / "a.png", (9, 9, 9))
    clip = Recording("clip", "label", "subject", "train", image=face, audio=path)
    features = Features(FaceFeatures(size=32), AudioFeatures(duration=1.0))
    assert features(clip).note == "damaged: 0.30 of 3.00 s lost"
    strict = Features(features.face, features.audio, Policies(damaged="skip"))
    with pytest.raises(Unreadable, match=r"a\.wav: damaged \(0\.30 of 3\.00 s lost\)"):
        strict(clip)
    path.write_bytes(content[: len(content) * 2 // 5])
    with pytest.raises(Unreadable, match=r"a\.wav: truncated \(1\.80 of 3\.00 s lost\)"):
        features(clip)
    predicting = Features(features.face, features.audio, Policies.for_prediction())
    assert predicting(clip).note == "truncated: 1.80 of 3.00 s lost"


@pytest.mark.parametrize("kind", ["ts", "mpg"])
def test_joined_recordings_are_heard_one_after_the_other_at_their_times(tmp_path, kind):
    lengths, pitches = (2.0, 1.5), (220, 600)
    joined = tmp_path / f"joined.{kind}"
    for n, (length, pitch) in enumerate(zip(lengths, pitches, strict=True)):
        times = [k / 25 for k in range(round(25 * length))]
        wave = tone(length, pitch=pitch)
        part = write_video(tmp_path / f"{n}.{kind}", [gray(90)] * len(times), times, wave)
        with joined.open("ab") as file:
            file.write(part.read_bytes())
    sound = decode_whole(joined)
    assert sound.lost == 0
    assert sound.total / 16_000 == pytest.approx(sum(lengths), abs=0.25)
    assert first_high(sound.samples) == pytest.approx(lengths[0], abs=0.15)


def test_joined_recordings_may_differ_in_rate_and_channels(tmp_path):
    for n, (rate, layout, pitch) in enumerate([(48_000, "mono", 220), (44_100, "stereo", 600)]):
        with av.open(str(tmp_path / f"{n}.ts"), "w") as container:
            stream = container.add_stream("aac", rate=rate, layout=layout)
            wave = np.repeat(tone(1.5, rate, pitch), 1 + (layout == "stereo"))
            samples = (wave[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
            frame.rate, frame.pts = rate, 0
            container.mux([*stream.encode(frame), *stream.encode(None)])
    content = (tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(content)
    sound = decode_whole(tmp_path / "a.ts")
    assert sound.total / 16_000 == pytest.approx(3.0, abs=0.15)
    assert first_high(sound.samples) == pytest.approx(1.5, abs=0.15)


@pytest.mark.parametrize("default", [None, 0, 1, 2])
def test_the_track_flagged_as_default_is_taken_else_the_first(tmp_path, default):
    pitches = (200, 400, 800)
    with av.open(str(tmp_path / "a.mkv"), "w", options={"default_mode": "passthrough"}) as out:
        streams = [out.add_stream("flac", rate=16_000, layout="mono") for _ in pitches]
        if default is not None:
            streams[default].disposition = av.stream.Disposition.default
        for stream, pitch in zip(streams, pitches, strict=True):
            loud = 1 + (pitch == 400)  # of the highest rate of bits, it would be FFmpeg's choice
            wave = tone(1.0, pitch=pitch) * 0.4 * loud
            frame = av.AudioFrame.from_ndarray(np.int16(wave * 32767)[None], "s16", "mono")
            frame.rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
            out.mux([*stream.encode(frame), *stream.encode(None)])
    spectrum = np.abs(np.fft.rfft(decode_whole(tmp_path / "a.mkv").samples))
    assert spectrum.argmax() == pytest.approx(pitches[default or 0], abs=2)


@pytest.mark.parametrize("kind", [("wav", "WAV"), ("aiff", "AIFF"), ("au", "AU"), ("caf", "CAF")])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("bits", [16, 24, 32])
def test_float_samples_on_the_scale_of_integers_are_rescaled(tmp_path, kind, subtype, bits):
    path, wave = tmp_path / f"a.{kind[0]}", 0.3 * tone(0.3)
    soundfile.write(path, wave * 2 ** (bits - 1), 16_000, format=kind[1], subtype=subtype)
    sound = decode_whole(path)
    assert sound.notes == (f"float samples on the scale of {bits}-bit integers",)
    np.testing.assert_allclose(sound.samples, wave, atol=1e-6)


def test_a_float_sound_beyond_full_scale_is_lowered_or_refused_and_else_untouched(tmp_path):
    path, wave = tmp_path / "a.wav", tone(0.3) / np.abs(tone(0.3)).max()
    for peak, lowered, note in [
        (1.5, 1.0, ()),
        (8.0, 8.0, ("louder than full scale: lowered by 18 dB",)),
    ]:
        soundfile.write(path, wave * peak, 16_000, subtype="FLOAT")
        sound = decode_whole(path)
        np.testing.assert_allclose(sound.samples, wave * peak / lowered, atol=1e-5)
        assert sound.notes == note
    soundfile.write(path, wave * 1e12, 16_000, subtype="FLOAT")
    with pytest.raises(Unreadable, match=r"a\.wav: float samples beyond any scale \(peak 1e\+12\)"):
        decode_whole(path)


@pytest.mark.parametrize("gain", [-1.0, -0.9])
@pytest.mark.parametrize("kind", ["wav", "flac", "m4a"])
def test_channels_in_opposite_phase_are_not_cancelled(tmp_path, kind, gain):
    wave = 0.5 * tone(1.0)
    sound = decode_whole(write_sound(tmp_path / f"a.{kind}", np.stack([wave, gain * wave])))
    assert sound.notes == ("channels in opposite phase: number 1 taken alone",)
    assert sound.samples.std() == pytest.approx(wave.std(), rel=0.05)
    clip = Recording("c", "l", "s", "train", audio=tmp_path / f"a.{kind}")
    features = Features(
        FaceFeatures(size=32), AudioFeatures(duration=0.5), Policies.for_prediction()
    )
    kept = features(clip)
    assert kept.has_audio and "opposite phase" in kept.note


def test_channels_that_have_nothing_in_common_are_averaged(tmp_path):
    noise = 0.1 * np.random.default_rng(0).standard_normal((8, 16_000))
    soundfile.write(tmp_path / "a.wav", noise.T, 16_000, subtype="FLOAT")
    sound = decode_whole(tmp_path / "a.wav")
    assert sound.notes == ()
    np.testing.assert_allclose(sound.samples, noise.mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("coding", ["PCM_16", "PCM_24", "ULAW", "ALAW"])
@pytest.mark.parametrize("endian", ["LITTLE", "BIG"])
def test_nist_sphere_is_read_whatever_it_is_named(tmp_path, coding, endian):
    wave = 0.5 * tone(0.5)
    path = tmp_path / "a.wav"
    law = coding.endswith("LAW")
    soundfile.write(
        path, wave, 16_000, format="NIST", subtype=coding, endian="FILE" if law else endian
    )
    sound = decode_whole(path)
    np.testing.assert_allclose(sound.samples, wave, atol=0.03 if law else 1e-3)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])
    assert decode_whole(path).lost == pytest.approx(0.125, abs=0.04)


def test_a_sphere_compressed_with_shorten_says_what_to_do(tmp_path):
    header = b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\nend_head\n"
    (tmp_path / "a.wav").write_bytes(header.ljust(1024) + b"ajkg\x02" + bytes(1000))
    with pytest.raises(Unreadable, match="compressed with shorten, convert it with sph2pipe"):
        decode_whole(tmp_path / "a.wav")
