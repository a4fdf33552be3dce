"""Low-rank bilinear fusion."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_he
from avfusion.models.layers.activation import make_activation
from avfusion.models.layers.power_norm import PowerNorm


class LowRankFusion(nn.Module):
    """Multiply the two modalities, each projected to ``rank`` numbers: a bilinear map of that rank.

    Kim et al., 2017, https://arxiv.org/abs/1610.04325; the activation is tanh in the paper and relu
    in the seed network. The paper maps the product to the logits. Here the head does, so that
    without ``rank`` the product itself has ``dim`` numbers; with it, a linear map follows.
    ``normalize`` adds a power normalization over the last axis. Biases start at one: with zeros, an
    all-zero modality would make the product and every gradient zero. Another thing is
    ``LMFFusion``, low-rank multimodal fusion.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        activation: str = "relu",
        rank: int | None = None,
        normalize: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.activation = make_activation(activation)
        self.face_factors = nn.Linear(face_dim, rank or dim)
        self.audio_factors = nn.Linear(audio_dim, rank or dim)
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()
        self.output = nn.Linear(rank, dim) if rank else nn.Identity()
        init_he(self)
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
        return self.output(self.normalize(product))
