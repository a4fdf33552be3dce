"""Acoustic features of openSMILE as a stream: eGeMAPS and other sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.features.streams import Encoded

INSTALL = "pip install -e '.[opensmile]'"
SAMPLE_RATE = 16_000
LEVELS = {"functionals": "vector", "low_level": "sequence"}
MIN_SAMPLES = 8000  # samples; functionals of less are not defined


@dataclass(frozen=True)
class OpenSmile:
    """A set of features of openSMILE, by default eGeMAPS (https://doi.org/10.1109/TAFFC.2015.2457417).

    ``level`` is ``functionals`` (a vector of a clip: 88 numbers of eGeMAPS) or ``low_level`` (100
    frames a second: 25 numbers). Sounds of less than half a second are filled up by zeros, and what
    is not defined is zero. openSMILE is free for research and education alone.
    """

    modality: ClassVar[str] = "audio"
    reads: ClassVar[str] = "waveform"
    sha256: ClassVar[str | None] = None
    weights: ClassVar[str] = "none"

    stream: str = "egemaps"
    features: str = "eGeMAPSv02"
    level: str = "functionals"

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(
                f"features.audio_stream.level must be one of {', '.join(LEVELS)}, got {self.level}."
            )

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes."""
        return {"_target_": f"{type(self).__module__}.{type(self).__name__}", **vars(self)}

    def source(self) -> dict[str, Any]:
        """Nothing: there are no weights."""
        return {}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes."""
        try:
            import opensmile
        except ImportError as error:
            raise ValueError(f"{self.stream} needs openSMILE: {INSTALL}.") from error

        known = [one.name for one in opensmile.FeatureSet]
        if self.features not in known:
            raise ValueError(
                f"features.audio_stream.features must be one of {', '.join(known)}, got "
                f"{self.features}."
            )
        level = opensmile.FeatureLevel
        kind = level.Functionals if self.level == "functionals" else level.LowLevelDescriptors
        extractor = opensmile.Smile(opensmile.FeatureSet[self.features], kind)
        return OpenSmileEncoder(extractor, LEVELS[self.level]).eval()


class OpenSmileEncoder(nn.Module):
    """Features of sounds, each computed alone on the CPU."""

    layers = 0

    def __init__(self, extractor: Any, kind: str) -> None:
        super().__init__()
        self.extractor, self.kind = extractor, kind
        self.rate = 100.0 if kind == "sequence" else None
        self.offset = 0.01 if kind == "sequence" else 0.0  # half of its shorter window, of 20 ms

    def forward(
        self, values: Float[Tensor, "batch samples"], lengths: Int[Tensor, "batch"]
    ) -> Encoded:
        """Compute the features of sounds of true lengths in samples."""
        ends = lengths.tolist()
        tables = [self.extract(one[:end]) for one, end in zip(values, ends, strict=True)]
        if self.kind == "vector":
            return Encoded(torch.stack([table[0] for table in tables]).to(values.device))
        steps = torch.tensor([len(table) for table in tables], device=values.device)
        padded = nn.utils.rnn.pad_sequence(tables, batch_first=True)
        return Encoded(padded.to(values.device), steps)

    def extract(self, sound: Float[Tensor, "samples"]) -> Float[Tensor, "frames features"]:
        """Compute the table of one sound."""
        wave = sound.float().cpu().numpy()
        wave = np.pad(wave, (0, max(0, MIN_SAMPLES - len(wave))))
        table = self.extractor.process_signal(wave, SAMPLE_RATE).to_numpy(np.float32)
        return torch.from_numpy(np.nan_to_num(table, nan=0.0, posinf=0.0, neginf=0.0))
