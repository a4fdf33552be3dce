"""A sum: the baseline without a product."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_he
from avfusion.models.layers.activation import make_activation
from avfusion.models.layers.power_norm import PowerNorm


class SumFusion(nn.Module):
    """Add the two modalities, each mapped to ``width`` numbers, and map the sum.

    The linear sum of Ben-younes et al., 2019, https://arxiv.org/abs/1902.00038; as in the published
    code, ``normalize`` adds a power normalization over the last axis. No activation ends it.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 183,
        activation: str = "relu",
        normalize: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.activation = make_activation(activation)
        self.face_input = nn.Linear(face_dim, width)
        self.audio_input = nn.Linear(audio_dim, width)
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()
        self.output = nn.Linear(width, dim)
        init_he(self)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face_input = self.activation(self.face_input(face))
        return self.output(self.normalize(face_input + self.activation(self.audio_input(audio))))
