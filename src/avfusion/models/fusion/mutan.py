"""Tucker fusion with slices of low rank."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.input_maps import input_maps
from avfusion.models.layers.power_norm import PowerNorm


class MutanFusion(nn.Module):
    """Map both modalities to ``width`` numbers and add up ``rank`` products of maps of them.

    This is ``TuckerFusion`` with a core whose slices have that rank. Ben-younes et al., 2017,
    https://arxiv.org/abs/1705.06676; as in the published code, without the paper's tanh, and
    ``normalize`` adds a power normalization over the last axis. ``shared`` gives both modalities
    the same maps. Departures: no dropout; the biases of the products start above zero, so that an
    all-zero modality does not silence the other.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 90,
        rank: int = 5,
        shared: bool = False,
        normalize: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}.")
        self.dim = dim
        self.terms = (rank, width)
        self.face_input, self.audio_input = input_maps(face_dim, audio_dim, width, shared)
        self.face_factors, self.audio_factors = input_maps(width, width, rank * width, shared)
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()
        self.output = nn.Linear(width, dim)
        init_lecun(self)
        start = (2 * rank) ** -0.5  # what they add up to then begins with a size of about one
        for factors in (self.face_factors, self.audio_factors):
            nn.init.normal_(factors.weight, std=start / width**0.5)
            nn.init.constant_(factors.bias, start)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face_factors = self.face_factors(self.face_input(face))
        product = face_factors * self.audio_factors(self.audio_input(audio))
        return self.output(self.normalize(product.unflatten(-1, self.terms).sum(dim=-2)))
