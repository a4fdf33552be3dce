"""Tiny stream encoders: a linear layer on pieces of a waveform, a convolution of pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from avfusion.features.streams import Encoded

WINDOW, HOP = 400, 320  # samples


class TinyVoiceModule(nn.Module):
    """Pieces of sound by a linear layer, for each of the layers, as a sequence or its mean."""

    offset = WINDOW / 2 / 16_000

    def __init__(self, dim: int, layers: int, kind: str) -> None:
        super().__init__()
        self.kind, self.layers = kind, layers
        self.rate = 16_000 / HOP if kind == "sequence" else None
        self.linear = nn.Linear(WINDOW, dim * max(1, layers))

    def forward(self, waveform: Tensor, lengths: Tensor) -> Encoded:
        waveform = nn.functional.pad(waveform, (0, max(0, WINDOW - waveform.shape[1])))
        values = self.linear(waveform.unfold(1, WINDOW, HOP)).tanh()
        steps = 1 + (lengths - WINDOW).clamp(min=0) // HOP
        if self.layers:
            values = values.unflatten(-1, (self.layers, -1)).transpose(1, 2)
        if self.kind == "sequence":
            return Encoded(values, steps)
        true = torch.arange(values.shape[-2]) < steps[:, None]
        true = true[:, None] if self.layers else true
        return Encoded((values * true[..., None]).sum(-2) / true.sum(-1)[..., None])


class TinyFaceModule(nn.Module):
    """Pictures by a convolution, as maps or as a vector each."""

    layers, rate, offset = 0, None, 0.0

    def __init__(self, dim: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(3, dim, 8, 8)

    def forward(self, frames: Tensor, lengths: None) -> Encoded:
        maps = self.conv(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return Encoded(maps if self.kind == "maps" else maps.mean((-1, -2)))


@dataclass(frozen=True)
class TinyEncoder:
    """The recipe of either, whose weights are drawn, or read from a file."""

    reads: ClassVar[str]
    modality: ClassVar[str]
    sha256: ClassVar[None] = None

    stream: str = "tiny"
    dim: int = 4
    kind: str = "sequence"
    file: str | None = None

    @property
    def weights(self) -> str:
        return self.file or "drawn"

    def recipe(self) -> dict[str, Any]:
        name = f"{type(self).__module__}.{type(self).__qualname__}"
        return {"_target_": name, "dim": self.dim, "kind": self.kind}

    def source(self) -> dict[str, Any]:
        return {} if self.file is None else {"file": self.file}

    def module(self) -> nn.Module:
        raise NotImplementedError

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        if state is None and self.file is not None:
            if not Path(self.file).is_file():
                raise FileNotFoundError(f"No weights at {self.file}.")
            state = torch.load(self.file, weights_only=True)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            module = self.module()
        if state is not None:
            module.load_state_dict(state)
        return module.eval().requires_grad_(False)


@dataclass(frozen=True)
class TinyVoice(TinyEncoder):
    """A tiny encoder of sounds."""

    reads: ClassVar[str] = "waveform"
    modality: ClassVar[str] = "audio"
    layers: int = 0

    def recipe(self) -> dict[str, Any]:
        return super().recipe() | {"layers": self.layers}

    def module(self) -> nn.Module:
        return TinyVoiceModule(self.dim, self.layers, self.kind)


@dataclass(frozen=True)
class TinyFace(TinyEncoder):
    """A tiny encoder of pictures."""

    reads: ClassVar[str] = "frames"
    modality: ClassVar[str] = "face"

    def module(self) -> nn.Module:
        return TinyFaceModule(self.dim, self.kind)


TARGETS = {f"tiny_encoders.{kind.__name__}" for kind in (TinyVoice, TinyFace)}
