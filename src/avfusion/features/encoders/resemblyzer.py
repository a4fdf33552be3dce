"""Voice encoder of Resemblyzer as a stream: who speaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.features.encoders.packages import find_file
from avfusion.features.mfcc import SAMPLE_RATE, make_mel_filters
from avfusion.features.streams import Encoded

INSTALL = "pip install --no-deps resemblyzer==0.1.4"  # its dependencies need a compiler
MELS, WINDOW, HOP = 40, 400, 160  # samples
DIM = 256
PARTIAL, STEP = 160, 77  # frames of a piece, and from one to the next: 1.3 a second
MIN_COVERAGE = 0.75  # of the last piece that must be sound
MIN_RMS = 10 ** (-30 / 20)  # root mean square that quieter sounds are raised to


@dataclass(frozen=True)
class Resemblyzer:
    """The GE2E speaker encoder (Wan et al., 2017, https://arxiv.org/abs/1710.10467) of Resemblyzer.

    ``per`` is ``clip`` (a vector: the mean over pieces of 1.6 s, of length one, as Resemblyzer
    embeds an utterance) or ``frame`` (its state after each ``stride`` frames of 10 ms, of length
    one). Quiet sounds are raised, as Resemblyzer does; silences are kept, which it cuts out by
    another package. ``path`` is a file of weights; without it, that of the package is read.
    """

    modality: ClassVar[str] = "audio"
    reads: ClassVar[str] = "waveform"
    sha256: ClassVar[str | None] = None  # the module holds all weights

    stream: str = "resemblyzer"
    per: str = "clip"
    stride: int = 10
    path: str | None = None

    def __post_init__(self) -> None:
        if self.per not in ("clip", "frame") or self.stride < 1:
            raise ValueError(
                "features.audio_stream.per must be clip or frame, and stride at least 1, got "
                f"{self.per} and {self.stride}."
            )

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        return self.path or "pretrained.pt of the package resemblyzer (Apache-2.0)"

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        target = f"{type(self).__module__}.{type(self).__name__}"
        return {"_target_": target, "stream": self.stream, "per": self.per, "stride": self.stride}

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        return {"path": None if self.path is None else str(Path(self.path).absolute())}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes, frozen and in eval mode."""
        encoder = VoiceEncoder(self.per, self.stride)
        if state is None:
            file = find_file(self.path, "resemblyzer", "pretrained.pt", INSTALL)
            known = torch.load(file, map_location="cpu", weights_only=True)
            needed = encoder.state_dict()
            state = {name: known["model_state"][name] for name in needed}
        encoder.load_state_dict(state)
        return encoder.eval().requires_grad_(False)


class VoiceEncoder(nn.Module):
    """Three LSTMs on mel energies, whose state becomes a vector of length one."""

    layers = 0
    filters: Tensor
    hann: Tensor

    def __init__(self, per: str, stride: int) -> None:
        super().__init__()
        self.kind = "vector" if per == "clip" else "sequence"
        self.stride = stride
        self.rate = None if per == "clip" else SAMPLE_RATE / HOP / stride
        self.offset = 0.0 if per == "clip" else (stride - 1) * HOP / SAMPLE_RATE
        self.lstm = nn.LSTM(MELS, DIM, 3, batch_first=True)
        self.linear = nn.Linear(DIM, DIM)
        filters = make_mel_filters(MELS, WINDOW).float().contiguous()
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("hann", torch.hann_window(WINDOW), persistent=False)

    def forward(
        self, values: Float[Tensor, "batch samples"], lengths: Int[Tensor, "batch"]
    ) -> Encoded:
        """Encode sounds of true lengths in samples."""
        ends = lengths.tolist()
        sounds = [raise_volume(one[:end]) for one, end in zip(values, ends, strict=True)]
        if self.kind == "sequence":
            mels = [self.compute_mel(sound) for sound in sounds]
            steps = torch.tensor([max(1, len(mel) // self.stride) for mel in mels])
            padded = nn.utils.rnn.pad_sequence(mels, batch_first=True)
            padded = F.pad(padded, (0, 0, 0, max(0, self.stride - padded.shape[1])))
            states, _ = self.lstm(padded)
            vectors = self.make_vectors(states[:, self.stride - 1 :: self.stride])
            return Encoded(vectors, steps.to(values.device))

        pieces = [self.cut(sound) for sound in sounds]
        _, (hidden, _) = self.lstm(torch.cat(pieces))
        counts = [len(some) for some in pieces]
        parts = self.make_vectors(hidden[-1]).split(counts)
        return Encoded(F.normalize(torch.stack([part.mean(0) for part in parts]), dim=-1))

    def make_vectors(self, states: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Make vectors of length one, none of whose numbers is negative."""
        return F.normalize(self.linear(states).relu(), dim=-1)

    def cut(self, sound: Float[Tensor, "samples"]) -> Float[Tensor, "pieces frames mels"]:
        """Cut a sound into overlapping pieces; the last one may end with zeros."""
        frames = -(-(len(sound) + 1) // HOP)
        starts = list(range(0, max(1, frames - PARTIAL + STEP + 1), STEP))
        if len(starts) > 1 and (len(sound) - starts[-1] * HOP) / (PARTIAL * HOP) < MIN_COVERAGE:
            starts.pop()
        needed = (starts[-1] + PARTIAL) * HOP
        mel = self.compute_mel(F.pad(sound, (0, max(0, needed - len(sound)))))
        return torch.stack([mel[start : start + PARTIAL] for start in starts])

    def compute_mel(self, sound: Float[Tensor, "samples"]) -> Float[Tensor, "frames mels"]:
        """Compute mel energies, as librosa does; they are no logarithms."""
        with torch.autocast(sound.device.type, enabled=False):
            spectrum = torch.stft(
                sound.float(),
                WINDOW,
                HOP,
                window=self.hann,
                pad_mode="constant",
                return_complex=True,
            )
            return (self.filters @ spectrum.abs().square()).T


def raise_volume(sound: Float[Tensor, "samples"]) -> Float[Tensor, "samples"]:
    """Raise a quiet sound to -30 dBFS."""
    level = sound.double().square().mean().sqrt()
    gain = torch.where(level > 0, MIN_RMS / level, 1.0).clamp(min=1)
    return sound * gain.to(sound.dtype)
