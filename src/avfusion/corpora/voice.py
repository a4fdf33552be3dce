"""Synthetic voices of the cocktail party: harmonics in syllables, over a little noise."""

import wave
from pathlib import Path

import numpy as np

SAMPLE_RATE = 16_000  # Hz
SECONDS = 1.5
HARMONICS = np.arange(1, 12)
NOISE = 0.01  # standard deviation, full scale being 1
PEAK = 8.0  # of the loudest voice, before it is scaled to full scale
# Syllables per second, swing of the pitch, tilt of the spectrum and loudness.
CALM_VOICE = (3.0, 0.05, 1.6, 0.3)
AROUSED_VOICE = (6.0, 0.2, 1.0, 1.0)


def synthesize_voice(rng: np.random.Generator, pitch: float, arousal: float) -> np.ndarray:
    """Synthesize 1.5 seconds of a voice at 16 kHz, in [-1, 1].

    An aroused voice is faster, louder, brighter and less even than a calm one.

    Args:
        pitch: mean fundamental frequency in Hz.
        arousal: from 0 to 1.
    """
    ends = zip(CALM_VOICE, AROUSED_VOICE, strict=True)
    tempo, swing, tilt, loudness = (np.interp(arousal, (0, 1), pair) for pair in ends)
    tempo *= rng.uniform(0.9, 1.1)

    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    glide = 1 + swing * np.sin(2 * np.pi * tempo * time + rng.uniform(0, 6))
    phase = 2 * np.pi * np.cumsum(pitch * rng.uniform(0.98, 1.02) * glide) / SAMPLE_RATE
    voiced = sum_harmonics(phase, HARMONICS**-tilt)

    syllables = (0.5 + 0.5 * np.sin(2 * np.pi * tempo * time)) ** 2
    noise = NOISE * rng.standard_normal(len(time))
    return (voiced * syllables * loudness + noise) / PEAK


def sum_harmonics(phase: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum sin(k * phase) by weight for k = 1, 2, ..., each from the two before it (Chebyshev)."""
    before, current, twice = np.zeros_like(phase), np.sin(phase), 2 * np.cos(phase)
    total = np.zeros_like(phase)
    for weight in weights:
        total += weight * current
        before, current = current, twice * current - before

    return total


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write mono sound as 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
