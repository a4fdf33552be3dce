"""Factorized high-order fusion."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.activation import make_activation
from avfusion.models.layers.power_norm import PowerNorm


class MFHFusion(nn.Module):
    """Put two factorized bilinear fusions side by side, the first one's product in the second's.

    That product enters before its neighbors are added up, so that the second is of fourth order.
    Yu et al., 2018, https://arxiv.org/abs/1708.03619, with a cascade of two. Each of the two is as
    in ``MFBFusion``, with the same departures; signed roots and L2 norms are taken over the last
    axis, for each of the two.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 24,
        factor: int = 5,
        activation: str = "none",
        normalize: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if factor < 1:
            raise ValueError(f"factor must be at least 1, got {factor}.")
        self.dim = dim
        self.pools = (width, factor)
        self.activation = make_activation(activation)
        self.face_factors = nn.ModuleList(nn.Linear(face_dim, width * factor) for _ in range(2))
        self.audio_factors = nn.ModuleList(nn.Linear(audio_dim, width * factor) for _ in range(2))
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()
        self.output = nn.Linear(2 * width, dim)
        init_lecun(self)
        for factors in [*self.face_factors, *self.audio_factors]:
            nn.init.ones_(factors.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        pools, product = [], 1
        for face_factors, audio_factors in zip(self.face_factors, self.audio_factors, strict=True):
            product = product * self.activation(face_factors(face))
            product = product * self.activation(audio_factors(audio))
            pools.append(self.normalize(product.unflatten(-1, self.pools).sum(dim=-1)))
        return self.output(torch.cat(pools, dim=-1))
