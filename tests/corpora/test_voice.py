"""Synthetic voices of the cocktail party."""

import numpy as np
import pytest
import soundfile

from avfusion.corpora.voice import SAMPLE_RATE, sum_harmonics, synthesize_voice, write_wav

SEEDS = range(5)


def voice(seed, pitch, aroused):
    return synthesize_voice(np.random.default_rng(seed), pitch, float(aroused))


def mean_pitch(wave, frame=800):
    """Mean over loud frames of the pitch at which a frame resembles itself most."""
    found = []
    for start in range(0, len(wave) - frame, frame // 2):
        part = wave[start : start + frame]
        if part.std() < 0.5 * wave.std():
            continue
        likeness = np.correlate(part, part, "full")[frame - 1 :] / np.arange(frame, 0, -1)
        lags = np.arange(SAMPLE_RATE // 420, SAMPLE_RATE // 70)
        best = lags[likeness[lags] > 0.9 * likeness[lags].max()][0]
        near = np.arange(best, best + best // 8)
        found.append(SAMPLE_RATE / near[likeness[near].argmax()])
    return np.mean(found)


def envelope_rate(wave):
    """How often in a second the loudness comes and goes."""
    loudness = wave.reshape(-1, 160).std(axis=1)
    spectrum = np.abs(np.fft.rfft((loudness - loudness.mean()) * np.hanning(150), 3000))
    return spectrum.argmax() / 30


@pytest.mark.parametrize("pitch", [110.0, 200.0, 300.0])
@pytest.mark.parametrize("aroused", [False, True])
def test_a_voice_has_the_pitch_that_is_asked_for(pitch, aroused):
    found = np.mean([mean_pitch(voice(seed, pitch, aroused)) for seed in SEEDS])
    assert found == pytest.approx(pitch, rel=0.06 if aroused else 0.03)


@pytest.mark.parametrize("pitch", [110.0, 200.0, 300.0])
def test_an_aroused_voice_is_louder_and_faster(pitch):
    for seed in SEEDS:
        aroused, calm = voice(seed, pitch, True), voice(seed, pitch, False)
        assert aroused.std() > 2 * calm.std()
        assert envelope_rate(calm) == pytest.approx(3, rel=0.15)
        assert envelope_rate(aroused) == pytest.approx(6, rel=0.15)


def test_an_aroused_voice_is_brighter():
    def brightness(wave):
        power = np.abs(np.fft.rfft(wave)) ** 2
        return power[3000:].sum() / power.sum()  # above 2 kHz

    for seed in SEEDS:
        assert brightness(voice(seed, 300.0, True)) > 2 * brightness(voice(seed, 300.0, False))


@pytest.mark.parametrize("pitch", [100.0, 220.0, 325.0])
def test_no_voice_is_clipped(pitch):
    assert max(np.abs(voice(seed, pitch, True)).max() for seed in range(20)) < 1


def test_a_voice_depends_on_its_generator_alone():
    assert np.array_equal(voice(1, 200.0, True), voice(1, 200.0, True))
    assert not np.array_equal(voice(1, 200.0, True), voice(2, 200.0, True))


def test_harmonics_are_a_sum_of_sines():
    phase, weights = np.linspace(0, 50, 999), np.array([1.0, 0.5, -0.3, 0.2])
    expected = sum(weight * np.sin(k * phase) for k, weight in enumerate(weights, 1))
    np.testing.assert_allclose(sum_harmonics(phase, weights), expected, atol=1e-9)


def test_a_written_voice_is_mono_at_16_kHz_and_comes_back(tmp_path):
    wave = np.concatenate([voice(0, 200.0, True), [2.0, -2.0]])
    write_wav(tmp_path / "a.wav", wave)
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    assert rate == 16_000 and samples.shape == wave.shape
    np.testing.assert_allclose(samples / 32767, wave.clip(-1, 1), atol=1 / 32767)
