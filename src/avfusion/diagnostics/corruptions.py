"""Corruptions of the sound and of the pictures of a clip, at levels of growing strength.

Level 0 is the clean clip. Every other level is drawn from the clean clip, never from a corrupted
one, by a generator that follows from seed, corruption, level and clip: the same clip is corrupted
alike in any batch, subset or order, other clips and other levels otherwise. What is handed in is
never changed. A sound is as long afterwards as before: of padding nothing is heard.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64, Int16, UInt8
from scipy import signal

from avfusion.features.mfcc import SAMPLE_RATE

FULL_SCALE = 2**15
TALKERS = 6  # whose voices babble, and whose mean spectrum speech-shaped noise has
WELCH_WINDOW = 512  # samples; 31 Hz from one frequency to the next
BUTTERWORTH_ORDER = 8  # run forwards and backwards: 96 dB per octave, and no delay
GRAY = 128  # of what occludes a face

Sound = Float64[np.ndarray, "samples"]
Voice = Float64[np.ndarray, "_"]  # of another clip, as long as it is
Pictures = UInt8[np.ndarray, "pictures height width 3"]


@dataclass(frozen=True)
class Corruption:
    """A way to corrupt a modality, and how strongly each level does so.

    Attributes:
        name: its key in settings and files.
        title: its name in reports.
        modality: face or audio, of which the frames or the waveform change.
        unit: of the strengths.
        strengths: those of level 1 and up, from mild to severe.
        apply: called with sound or pictures, strength, generator and sounds of other clips.
        mixes: whether it needs those.
    """

    name: str
    title: str
    modality: str
    unit: str
    strengths: tuple[float, ...]
    apply: Callable[..., Any]
    mixes: bool = False

    def corrupt_sound(
        self,
        sound: Int16[np.ndarray, "samples"],
        level: int,
        generator: np.random.Generator,
        others: Sequence[Int16[np.ndarray, "_"]] = (),
    ) -> Int16[np.ndarray, "samples"]:
        """Corrupt a sound of its true length; ``others`` are of other clips, silent ones left out.

        Where the result would exceed full scale it is lowered as a whole, so that nothing is
        clipped unasked and a ratio of signal to noise stays what it is.
        """
        mixed = [other / FULL_SCALE for other in others if other.any()]
        if level == 0 or not sound.any() or (others and not mixed):
            return sound.copy()

        wave = self.apply(sound / FULL_SCALE, self.strengths[level - 1], generator, mixed)
        limit = (FULL_SCALE - 1) / FULL_SCALE
        peak = float(np.abs(wave).max())
        wave = wave * (limit / peak) if peak > limit else wave
        return np.round(wave * FULL_SCALE).astype(np.int16)

    def corrupt_pictures(
        self, pictures: Pictures, level: int, generator: np.random.Generator
    ) -> Pictures:
        """Corrupt the pictures of a clip, all of them alike."""
        if level == 0:
            return pictures.copy()
        return self.apply(pictures, self.strengths[level - 1], generator)


def derive_generator(seed: int, name: str, level: int, clip_id: str) -> np.random.Generator:
    """Derive the generator of one corruption of one clip."""
    digest = hashlib.sha256(f"{seed}\0{name}\0{level}\0{clip_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def add_at_ratio(sound: Sound, noise: Sound, decibel: float) -> Sound:
    """Add noise so that the energies of sound and noise have a ratio in dB."""
    energy = np.square(noise).sum()
    if energy == 0:
        raise ValueError("Silence cannot be added at a ratio: give a noise that is heard.")
    gain = np.sqrt(np.square(sound).sum() / energy) * 10 ** (-decibel / 20)
    return sound + gain * noise


def add_speech_noise(
    sound: Sound, decibel: float, generator: np.random.Generator, others: Sequence[Voice]
) -> Sound:
    """Add Gaussian noise that has the mean spectrum of other voices."""
    size = min(WELCH_WINDOW, *map(len, others))
    equal = [one / _measure_rms(one) for one in others]
    spectra = [signal.welch(one, SAMPLE_RATE, nperseg=size, detrend=False) for one in equal]
    density = np.mean([power for _, power in spectra], axis=0)

    white = np.fft.rfft(generator.standard_normal(len(sound)))
    frequencies = np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE)
    shape = np.sqrt(np.interp(frequencies, spectra[0][0], density))
    return add_at_ratio(sound, np.fft.irfft(white * shape, len(sound)), decibel)


def add_babble(
    sound: Sound, decibel: float, generator: np.random.Generator, others: Sequence[Voice]
) -> Sound:
    """Add other voices that speak at once, all equally loud; a short one begins again."""
    babble = np.zeros(len(sound))
    for other in others:
        start = int(generator.integers(len(other)))
        indices = (start + np.arange(len(sound))) % len(other)
        babble += other[indices] / _measure_rms(other)
    return add_at_ratio(sound, babble, decibel)


def reverberate(sound: Sound, seconds: float, generator: np.random.Generator, *_: Any) -> Sound:
    """Let a sound reverberate in a room of this RT60; it arrives when it did, and as loud."""
    response = draw_impulse_response(seconds, generator)
    wave = signal.fftconvolve(sound, response)[: len(sound)]
    return wave * (_measure_rms(sound) / _measure_rms(wave))


def draw_impulse_response(
    seconds: float, generator: np.random.Generator
) -> Float64[np.ndarray, "_"]:
    """Draw the impulse response of a room whose reverberation falls by 60 dB in so many seconds.

    Gaussian noise under an exponential envelope (Polack, 1988; Jot, Cerveau and Warusfel, 1997) of
    as much energy as the direct sound, its first sample.
    """
    time = np.arange(1, round(seconds * SAMPLE_RATE) + 1) / SAMPLE_RATE
    tail = generator.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    return np.concatenate([[1.0], tail / np.linalg.norm(tail)])


def limit_band(sound: Sound, hertz: float, *_: Any) -> Sound:
    """Remove what is above a frequency, without a delay."""
    sections = signal.butter(BUTTERWORTH_ORDER, hertz, fs=SAMPLE_RATE, output="sos")
    padding = min(len(sound) - 1, SAMPLE_RATE // 100)
    return signal.sosfiltfilt(sections, sound, padlen=padding)


def clip_peaks(sound: Sound, share: float, *_: Any) -> Sound:
    """Clip this share of the samples that are not zero, as a recording that was set too loud."""
    ceiling = np.quantile(np.abs(sound[sound != 0]), 1 - share)
    return sound.clip(-ceiling, ceiling)


def shift_time(sound: Sound, milliseconds: float, generator: np.random.Generator, *_: Any) -> Sound:
    """Let the voice come late or, at random, early against the face.

    What leaves at one end comes in at the other, so that nothing is lost but the timing.
    """
    samples = round(milliseconds * SAMPLE_RATE / 1000)
    return np.roll(sound, samples if generator.integers(2) else -samples)


def blur(pictures: Pictures, share: float, *_: Any) -> Pictures:
    """Blur by a Gaussian whose standard deviation is this share of a picture's side."""
    sigma = share * pictures.shape[2]
    return np.stack([cv2.GaussianBlur(picture, (0, 0), sigma) for picture in pictures])


def occlude(pictures: Pictures, share: float, generator: np.random.Generator) -> Pictures:
    """Cover this share of the area by a gray square at a random position, the same in all."""
    _, height, width, _ = pictures.shape
    rows = round(height * np.sqrt(share))
    columns = min(width, round(share * height * width / rows))
    top, left = generator.integers(height - rows + 1), generator.integers(width - columns + 1)

    covered = pictures.copy()
    covered[:, top : top + rows, left : left + columns] = GRAY
    return covered


def darken(pictures: Pictures, factor: float, *_: Any) -> Pictures:
    """Leave this part of the brightness, in whole numbers as a camera gives them."""
    return np.round(pictures * factor).astype(np.uint8)


def compress_jpeg(pictures: Pictures, quality: float, *_: Any) -> Pictures:
    """Compress each picture as a JPEG of this quality, out of 100."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    swapped = (cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) for picture in pictures)
    files = [cv2.imencode(".jpg", picture, options)[1] for picture in swapped]
    return np.stack([np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR_RGB)) for file in files])


def lower_resolution(pictures: Pictures, share: float, *_: Any) -> Pictures:
    """Scale down to this share of the side, and up again."""
    _, height, width, _ = pictures.shape
    size = (max(1, round(share * width)), max(1, round(share * height)))
    small = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures)
    return np.stack([cv2.resize(one, (width, height)) for one in small])


def _measure_rms(sound: Voice) -> float:
    return float(np.sqrt(np.square(sound).mean()))


_SNR = (20.0, 15.0, 10.0, 5.0, 0.0, -5.0, -10.0)
CORRUPTIONS = (
    Corruption("noise", "speech-shaped noise", "audio", "dB SNR", _SNR, add_speech_noise, True),
    Corruption("babble", "babble", "audio", "dB SNR", _SNR, add_babble, True),
    Corruption(
        "reverberation", "reverberation", "audio", "s RT60", (0.2, 0.4, 0.8, 1.6, 3.2), reverberate
    ),
    Corruption(
        "band", "band limit", "audio", "Hz", (4000.0, 2000.0, 1000.0, 500.0, 250.0), limit_band
    ),
    Corruption(
        "clipping",
        "clipping",
        "audio",
        "part of the samples",
        (0.01, 0.05, 0.1, 0.25, 0.5),
        clip_peaks,
    ),
    Corruption(
        "shift",
        "time shift of the voice",
        "audio",
        "ms",
        (40.0, 80.0, 160.0, 320.0, 640.0),
        shift_time,
    ),
    Corruption("blur", "blur", "face", "part of the side", (0.01, 0.02, 0.04, 0.08, 0.16), blur),
    Corruption(
        "occlusion", "occlusion", "face", "part of the area", (0.1, 0.2, 0.4, 0.6, 0.8), occlude
    ),
    Corruption(
        "darkness",
        "darkness",
        "face",
        "part of the brightness",
        (0.5, 0.25, 0.1, 0.05, 0.02),
        darken,
    ),
    Corruption("jpeg", "JPEG", "face", "quality", (50.0, 25.0, 10.0, 5.0, 1.0), compress_jpeg),
    Corruption(
        "resolution",
        "resolution",
        "face",
        "part of the side",
        (0.5, 0.25, 0.125, 0.0625, 0.03125),
        lower_resolution,
    ),
)
