"""Gated fusion."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun


class GatedFusion(nn.Module):
    """Let one modality decide, by a sigmoid per number, how much of the other passes.

    Kiela et al., 2018, https://arxiv.org/abs/1802.02892. ``gate`` names the modality that decides.
    Departures: a linear map to ``dim`` numbers ends it (in the paper, to logits), and the biases of
    what passes start at one, so that an all-zero modality does not silence the gate.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 183,
        gate: str = "audio",
    ) -> None:
        super().__init__()
        if gate not in ("audio", "face"):
            raise ValueError(f"gate must be audio or face, got {gate!r}.")
        self.dim = dim
        self.gate = gate
        self.face_input = nn.Linear(face_dim, width)
        self.audio_input = nn.Linear(audio_dim, width)
        self.output = nn.Linear(width, dim)
        init_lecun(self)
        nn.init.ones_((self.face_input if gate == "audio" else self.audio_input).bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face_input, audio_input = self.face_input(face), self.audio_input(audio)
        if self.gate == "audio":
            return self.output(torch.sigmoid(audio_input) * face_input)
        return self.output(torch.sigmoid(face_input) * audio_input)
