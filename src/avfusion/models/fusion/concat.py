"""Concatenation: the baseline that every fusion has to beat."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_side_by_side


class ConcatFusion(nn.Module):
    """Put the two vectors side by side and project them: a sum of one linear map of each."""

    def __init__(self, face_dim: int, audio_dim: int, dim: PositiveInt = 256) -> None:
        super().__init__()
        self.dim = dim
        self.project = nn.Linear(face_dim + audio_dim, dim)
        init_side_by_side(self.project, (face_dim, audio_dim))

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        return torch.relu(self.project(torch.cat([face, audio], dim=-1)))
