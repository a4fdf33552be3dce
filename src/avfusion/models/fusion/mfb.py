"""Factorized bilinear fusion."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.activation import make_activation
from avfusion.models.layers.power_norm import PowerNorm


class MFBFusion(nn.Module):
    """Multiply factors of the two modalities and add up each ``factor`` neighbors.

    So each of ``width`` numbers is a bilinear map of rank ``factor``. Yu et al., 2017,
    https://arxiv.org/abs/1708.01471. As there, signed roots and the L2 norm over the last axis
    follow (``normalize``), except for ``eps`` in the root. The paper has no activation, the
    published code a relu. Departures: a linear map to ``dim`` numbers ends it (in the paper, to
    logits), no dropout, and biases that start at one, so that an all-zero modality does not
    silence the other.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 48,
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
        self.face_factors = nn.Linear(face_dim, width * factor)
        self.audio_factors = nn.Linear(audio_dim, width * factor)
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()
        self.output = nn.Linear(width, dim)
        init_lecun(self)
        nn.init.ones_(self.face_factors.bias)
        nn.init.ones_(self.audio_factors.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face_factors = self.activation(self.face_factors(face))
        product = face_factors * self.activation(self.audio_factors(audio))
        return self.output(self.normalize(product.unflatten(-1, self.pools).sum(dim=-1)))
