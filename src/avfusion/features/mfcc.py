"""Mel-frequency cepstral coefficients (MFCC) and their differences."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Float64, Int16
from torch import Tensor

SAMPLE_RATE = 16_000  # Hz, of every sound after decoding
CROPS = ("center", "start", "whole")


@dataclass(frozen=True)
class AudioFeatures:
    """Audio frames of a sound: MFCC, their first and their second differences.

    Durations are in seconds, ``window`` and ``hop`` in samples at 16 kHz. ``silence_dbfs`` is the
    energy, the mean square of what is kept, under which a clip counts as silent. ``crop`` keeps
    ``duration`` seconds from the center or the start, or the whole clip up to ``max_duration``.
    Davis and Mermelstein, 1980, https://doi.org/10.1109/TASSP.1980.1163420; differences as in
    Furui, 1986, https://doi.org/10.1109/TASSP.1986.1164788, over two frames on each side. A derived
    class that computes something else names its ``stream`` otherwise.
    """

    stream: ClassVar[str] = "mfcc"

    duration: float = 1.5
    crop: str = "center"
    max_duration: float = 10.0
    coefficients: int = 25
    mels: int = 40
    window: int = 960
    hop: int = 480
    silence_dbfs: float = -75.0

    def __post_init__(self) -> None:
        if self.crop not in CROPS:
            raise ValueError(f"features.audio.crop must be one of {CROPS}, got {self.crop!r}.")
        if not 1 <= self.coefficients <= self.mels:
            raise ValueError(
                "features.audio.coefficients must lie between 1 and features.audio.mels="
                f"{self.mels}, got {self.coefficients}."
            )
        if self.window < 1:
            raise ValueError(f"features.audio.window must be at least 1, got {self.window}.")
        if not 0 < self.hop <= self.window:
            raise ValueError(
                f"features.audio.hop must lie between 1 and window={self.window}, got {self.hop}."
            )
        if self.samples < self.window:
            name = "max_duration" if self.crop == "whole" else "duration"
            raise ValueError(
                f"A clip must last at least one window, {self.window / SAMPLE_RATE} s, got "
                f"{self.samples / SAMPLE_RATE} s: raise features.audio.{name}."
            )

    @property
    def samples(self) -> int:
        """Samples that a clip keeps at most."""
        seconds = self.max_duration if self.crop == "whole" else self.duration
        return round(seconds * SAMPLE_RATE)

    @property
    def features(self) -> int:
        """Numbers per audio frame."""
        return 3 * self.coefficients

    def frames(self, samples: int) -> int:
        """Frames of a sound; one that is shorter than a window has one."""
        return 1 + max(0, samples - self.window) // self.hop

    def span(self, samples: int) -> slice:
        """Samples of a sound that are kept."""
        extra = max(0, samples - self.samples)
        start = 0 if self.crop == "start" else extra // 2
        return slice(start, start + min(samples, self.samples))

    def __call__(self, sound: Int16[Tensor, "samples"]) -> Float32[Tensor, "frames features"]:
        """Compute the audio frames of one sound, in float64."""
        wave = F.pad(sound.double() / 2**15, (0, max(0, self.window - len(sound))))
        frames = wave.unfold(0, self.window, self.hop)
        hann = torch.hann_window(self.window, dtype=torch.float64)
        power = torch.fft.rfft(frames * hann).abs() ** 2

        energies = power @ make_mel_filters(self.mels, self.window).T
        decibel = 10 * torch.log10(energies.clamp(min=1e-10))
        cepstrum = decibel @ make_dct_matrix(self.mels)[: self.coefficients].T
        first = compute_delta(cepstrum)
        return torch.cat([cepstrum, first, compute_delta(first)], dim=-1).float()


def compute_delta(
    frames: Float64[Tensor, "frames coefficients"],
) -> Float64[Tensor, "frames coefficients"]:
    """Slope of the line through five frames, the outermost frames repeated at the ends."""
    last = len(frames) - 1
    around = torch.arange(-2, len(frames) + 2).clamp(0, last)
    slope = torch.arange(-2, 3, dtype=frames.dtype) / 10
    return frames[around].unfold(0, 5, 1) @ slope


@lru_cache
def make_mel_filters(mels: int, window: int) -> Float[Tensor, "mels bins"]:
    """Triangles of equal area on the mel scale of Slaney's Auditory Toolbox (1998)."""
    step = math.log(6.4) / 27  # above 1 kHz the scale is logarithmic, below it is linear
    top = 15 + math.log(SAMPLE_RATE / 2 / 1000) / step
    mel = torch.linspace(0, top, mels + 2, dtype=torch.float64)
    corners = torch.where(mel < 15, mel * 200 / 3, 1000 * torch.exp((mel - 15) * step))
    bins = torch.fft.rfftfreq(window, 1 / SAMPLE_RATE, dtype=torch.float64)

    low, center, high = (corners[i : mels + i, None] for i in range(3))
    triangles = torch.minimum((bins - low) / (center - low), (high - bins) / (high - center))
    return triangles.clamp(min=0) * 2 / (high - low)


@lru_cache
def make_dct_matrix(size: int) -> Float[Tensor, "size size"]:
    """Orthonormal discrete cosine transform of type two."""
    index = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * torch.outer(index, index + 0.5)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix
