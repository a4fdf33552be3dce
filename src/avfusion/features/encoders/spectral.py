"""MFCC and log-mel energies of whole sounds as streams."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.features.mfcc import SAMPLE_RATE, AudioFeatures, make_mel_filters
from avfusion.features.streams import Encoded


@dataclass(frozen=True)
class Spectral:
    """Frames of a spectrogram: energies of mel bands in dB or, with ``coefficients``, their MFCC.

    ``window`` and ``hop`` are in samples at 16 kHz. MFCC come with their first and second
    differences, and equal those of ``AudioFeatures``.
    """

    modality: ClassVar[str] = "audio"
    reads: ClassVar[str] = "waveform"
    weights: ClassVar[str] = "none"
    sha256: ClassVar[str | None] = None

    stream: str
    mels: int = 80
    window: int = 400
    hop: int = 160
    coefficients: int | None = None

    def __post_init__(self) -> None:
        self.features()

    def features(self) -> AudioFeatures:
        """Frames of the same settings.

        Raises:
            ValueError: the settings do not fit each other.
        """
        return AudioFeatures(
            duration=max(1.0, self.window / SAMPLE_RATE),
            coefficients=self.mels if self.coefficients is None else self.coefficients,
            mels=self.mels,
            window=self.window,
            hop=self.hop,
        )

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes."""
        return {"_target_": f"{type(self).__module__}.{type(self).__name__}", **vars(self)}

    def source(self) -> dict[str, Any]:
        """Nothing: there are no weights."""
        return {}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes."""
        return SpectralEncoder(self.features(), self.coefficients is None).eval()


class SpectralEncoder(nn.Module):
    """Frames of sounds, in float64 on the CPU, so that they are the same everywhere."""

    kind = "sequence"
    layers = 0

    def __init__(self, features: AudioFeatures, energies: bool) -> None:
        super().__init__()
        self.features, self.energies = features, energies
        self.rate = SAMPLE_RATE / features.hop
        self.offset = features.window / 2 / SAMPLE_RATE

    def forward(
        self, values: Float[Tensor, "batch samples"], lengths: Int[Tensor, "batch"]
    ) -> Encoded:
        """Compute the frames of each sound alone."""
        sounds = [
            (one[:length].cpu() * 2**15).round().to(torch.int16)
            for one, length in zip(values, lengths.tolist(), strict=True)
        ]
        frames = [self.compute_energies(s) if self.energies else self.features(s) for s in sounds]
        steps = torch.tensor([len(one) for one in frames])
        padded = nn.utils.rnn.pad_sequence(frames, batch_first=True)
        return Encoded(padded.to(values.device), steps.to(values.device))

    def compute_energies(self, sound: Tensor) -> Float[Tensor, "frames mels"]:
        """Energies of mel bands in dB."""
        window = self.features.window
        wave = nn.functional.pad(sound.double() / 2**15, (0, max(0, window - len(sound))))
        frames = wave.unfold(0, window, self.features.hop)
        power = torch.fft.rfft(frames * torch.hann_window(window, dtype=torch.float64)).abs() ** 2
        energies = power @ make_mel_filters(self.features.mels, window).T
        return (10 * torch.log10(energies.clamp(min=1e-10))).float()
