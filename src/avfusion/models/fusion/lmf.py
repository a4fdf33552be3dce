"""Low-rank multimodal fusion."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt


class LMFFusion(nn.Module):
    """Map the outer product of both vectors, each after a one, by a tensor of a given rank.

    Liu et al., 2018, https://arxiv.org/abs/1806.00064, which never forms that product; as in the
    published code, each of the ``rank`` terms has a weight. Factors are
    ``[rank, 1 + width, dim]``, those of the one first. Departure: they start so that terms have
    about the same size at any width, with ones for the one; weights start equal.
    """

    def __init__(self, face_dim: int, audio_dim: int, dim: PositiveInt = 64, rank: int = 4) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}.")
        self.dim = dim
        self.face_factors = nn.Parameter(torch.randn(rank, 1 + face_dim, dim) / face_dim**0.5)
        self.audio_factors = nn.Parameter(torch.randn(rank, 1 + audio_dim, dim) / audio_dim**0.5)
        self.weights = nn.Parameter(torch.full((rank,), 0.5 / rank))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.ones_(self.face_factors[:, 0])
        nn.init.ones_(self.audio_factors[:, 0])

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        one = torch.ones_like(face[..., :1])
        face = torch.einsum("...i,rid->...rd", torch.cat([one, face], dim=-1), self.face_factors)
        audio = torch.einsum("...i,rid->...rd", torch.cat([one, audio], dim=-1), self.audio_factors)
        return torch.einsum("...rd,r->...d", face * audio, self.weights) + self.bias
