"""Gated multimodal unit."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun


class GMUFusion(nn.Module):
    """Mix the two modalities number by number, in parts that both of them decide.

    Arevalo et al., 2017, https://arxiv.org/abs/1702.01992, the bimodal unit; as there, without
    biases.
    """

    def __init__(self, face_dim: int, audio_dim: int, dim: PositiveInt = 128) -> None:
        super().__init__()
        self.dim = dim
        self.face_hidden = nn.Linear(face_dim, dim, bias=False)
        self.audio_hidden = nn.Linear(audio_dim, dim, bias=False)
        self.gate = nn.Linear(face_dim + audio_dim, dim, bias=False)
        init_lecun(self)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        gate = torch.sigmoid(self.gate(torch.cat([face, audio], dim=-1)))
        face_hidden = torch.tanh(self.face_hidden(face))
        return gate * face_hidden + (1 - gate) * torch.tanh(self.audio_hidden(audio))
