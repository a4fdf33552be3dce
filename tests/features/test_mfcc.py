"""Audio frames: MFCC and their differences."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.fft
import scipy.signal
import torch
from conftest import tone
from mel_reference import mel_energies

from avfusion.features.mfcc import AudioFeatures, compute_delta, make_dct_matrix, make_mel_filters

AUDIO = AudioFeatures()


def noisy_tone(seconds: float, seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).normal(0, 0.02, round(seconds * 16_000))
    return torch.from_numpy(((0.4 * tone(seconds) + noise) * 32767).astype(np.int16))


def test_one_and_a_half_seconds_are_49_frames_of_75_numbers():
    assert AUDIO(noisy_tone(1.5)).shape == (49, 75)
    assert (AUDIO.frames(24_000), AUDIO.features) == (49, 75)


def test_equals_the_filters_of_librosa_and_the_transforms_of_scipy():
    sound = noisy_tone(1.5)
    wave = sound.numpy().astype(np.float64) / 2**15
    mel = mel_energies(wave, fft=960, hop=480, mels=40, center=False)
    decibel = 10 * np.log10(np.maximum(mel, 1e-10))
    mfcc = scipy.fft.dct(decibel, axis=0, norm="ortho")[:25]
    first = scipy.signal.savgol_filter(mfcc, 5, 1, deriv=1, mode="nearest")
    second = scipy.signal.savgol_filter(first, 5, 1, deriv=1, mode="nearest")
    expected = np.concatenate([mfcc, first, second]).T
    np.testing.assert_allclose(AUDIO(sound), expected, rtol=0, atol=1e-3)


def test_differences_are_slopes_of_a_line_through_five_frames():
    frames = torch.randn(20, 3, dtype=torch.float64)
    slopes = scipy.signal.savgol_filter(frames, 5, 1, deriv=1, axis=0, mode="nearest")
    np.testing.assert_allclose(compute_delta(frames), slopes, atol=1e-12)


def test_an_audio_frame_is_coefficients_then_first_then_second_differences():
    coefficients, first, second = AUDIO(noisy_tone(1.5)).double().unflatten(1, (3, 25)).unbind(1)
    torch.testing.assert_close(first, compute_delta(coefficients), atol=1e-4, rtol=0)
    torch.testing.assert_close(second, compute_delta(first), atol=1e-4, rtol=0)


def test_digital_silence_is_a_level_of_minus_100_decibel():
    frames = AUDIO(torch.zeros(16_000, dtype=torch.int16))
    torch.testing.assert_close(frames[:, 0], torch.full((32,), -100 * math.sqrt(40)))
    assert frames[:, 1:].abs().max() < 1e-9


def test_a_constant_has_no_differences():
    assert compute_delta(torch.full((7, 2), 3.0, dtype=torch.float64)).abs().max() < 1e-12


def test_the_cosine_transform_is_the_orthonormal_one_of_type_two():
    expected = scipy.fft.dct(np.eye(40), type=2, norm="ortho", axis=0)
    np.testing.assert_allclose(make_dct_matrix(40), expected, atol=1e-12)


def test_filters_have_equal_area_and_rising_centers_up_to_8_kHz():
    filters = make_mel_filters(40, 960 * 16)
    hertz = 16_000 / (960 * 16)
    np.testing.assert_allclose(filters.sum(1) * hertz, 1, rtol=2e-3)
    centers = filters.argmax(1) * hertz
    assert (centers.diff() > 0).all() and 7000 < centers[-1] < 8000
    below_1_kHz = centers[centers < 1000].diff()
    assert below_1_kHz.max() - below_1_kHz.min() <= 2 * hertz


def test_a_louder_sound_differs_in_the_first_coefficient_only():
    sound = noisy_tone(1.0) // 4
    change = AUDIO(sound * 2) - AUDIO(sound)
    assert change[:, 0].mean().item() == pytest.approx(20 * math.log10(2) * math.sqrt(40), rel=1e-4)
    assert change[:, 1:].abs().max() < 1e-3


@pytest.mark.parametrize("samples", [1, 959, 960, 961, 1439, 1440, 23_999, 24_000])
def test_the_frame_count_is_that_of_the_frames(samples):
    assert AUDIO(noisy_tone(1.5)[:samples]).shape == (AUDIO.frames(samples), 75)


def test_a_sound_shorter_than_a_window_is_one_frame_filled_up_with_zeros():
    sound = noisy_tone(1.5)[:128]
    padded = torch.zeros(960, dtype=torch.int16)
    padded[:128] = sound
    assert AUDIO(sound).shape == (1, 75)
    assert torch.equal(AUDIO(sound), AUDIO(padded))


@pytest.mark.parametrize("crop", ["center", "start", "whole"])
@pytest.mark.parametrize("seconds", [0.9, 3.0])
def test_settings_of_the_crop_never_change_the_frames_of_a_sound_that_is_not_cropped(seconds, crop):
    sound = noisy_tone(0.8)
    other = AudioFeatures(crop=crop, duration=seconds, max_duration=seconds)
    kept = sound[other.span(len(sound))]
    assert torch.equal(other(kept), AUDIO(sound))


@pytest.mark.parametrize(
    ("crop", "first", "last"),
    [("center", 12_000, 35_999), ("start", 0, 23_999), ("whole", 0, 47_999)],
)
def test_a_crop_keeps_its_samples(crop, first, last):
    kept = np.arange(48_000)[AudioFeatures(crop=crop).span(48_000)]
    assert (kept[0], kept[-1]) == (first, last)


def test_a_whole_clip_ends_at_the_longest_duration():
    whole = AudioFeatures(crop="whole", max_duration=2.0)
    assert len(range(50_000)[whole.span(50_000)]) == whole.samples == 32_000


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("crop", "middle"),
        ("coefficients", 41),
        ("coefficients", 0),
        ("hop", 0),
        ("hop", 961),
        ("duration", 0.05),
    ],
)
def test_bad_settings_are_refused_with_their_value(setting, value):
    with pytest.raises(ValueError, match=rf"{setting}.*{value}|{value}.*{setting}"):
        replace(AUDIO, **{setting: value})


def test_a_whole_clip_that_may_not_last_a_window_names_the_setting_to_raise():
    with pytest.raises(ValueError, match=r"0\.01 s: raise features\.audio\.max_duration"):
        AudioFeatures(crop="whole", max_duration=0.01)
