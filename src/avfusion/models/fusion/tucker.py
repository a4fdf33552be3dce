"""Full Tucker fusion."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.bilinear_map import BilinearMap
from avfusion.models.layers.input_maps import input_maps
from avfusion.models.layers.power_norm import PowerNorm


class TuckerFusion(nn.Module):
    """Map both modalities to ``width`` numbers, combine all of them, and map the result.

    A full bilinear map whose tensor has a Tucker decomposition with a core of
    ``width x width x width``. Ben-younes et al., 2017, https://arxiv.org/abs/1705.06676; as in
    the published code, ``normalize`` adds a power normalization over the last axis. ``shared``
    gives both modalities the same map; there, the option has no effect. Departures: no dropout;
    the biases of the input maps start at one, so that an all-zero modality does not silence the
    other.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 49,
        shared: bool = False,
        normalize: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.face_input, self.audio_input = input_maps(face_dim, audio_dim, width, shared)
        self.core = BilinearMap(width, width, width)
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()
        self.output = nn.Linear(width, dim)
        init_lecun(self)
        nn.init.normal_(self.core.weight, std=0.5 / width)  # the biases make its products larger
        nn.init.ones_(self.face_input.bias)
        nn.init.ones_(self.audio_input.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        core = self.core(self.face_input(face), self.audio_input(audio))
        return self.output(self.normalize(core))
