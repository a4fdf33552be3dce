"""Tensor fusion."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.bilinear_map import outer_product


class TensorFusion(nn.Module):
    """Form the outer product of both vectors, each after a one: all products, and both vectors.

    Zadeh et al., 2017, https://arxiv.org/abs/1707.07250. ``width`` is that of one rectified layer
    per modality before (in the paper, networks of three); None takes the vectors as they are.
    ``dim`` is that of a linear map after; None hands on the product, row by row, as the paper does.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt | None = None,
        width: int | None = None,
    ) -> None:
        super().__init__()
        products = (1 + (width or face_dim)) * (1 + (width or audio_dim))
        self.dim = dim or products
        self.face_input = rectified(face_dim, width)
        self.audio_input = rectified(audio_dim, width)
        self.output = nn.Linear(products, dim) if dim else nn.Identity()
        init_lecun(self)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face = functional.pad(self.face_input(face), (1, 0), value=1.0)
        audio = functional.pad(self.audio_input(audio), (1, 0), value=1.0)
        return self.output(outer_product(face, audio))


def rectified(width_before: int, width: int | None) -> nn.Module:
    """Return one rectified layer, or nothing where no width is given."""
    return nn.Sequential(nn.Linear(width_before, width), nn.ReLU()) if width else nn.Identity()
