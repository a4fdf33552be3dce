"""Full bilinear fusion, with what each modality says on its own."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.bilinear_map import BilinearMap


class BilinearFusion(nn.Module):
    """Add up all products of the two vectors and both vectors, each number with its weight.

    Multiplicative interactions, Jayakumar et al., 2020, https://openreview.net/forum?id=rylnK6VtDH:
    ``W[face, audio] + U face + V audio + b``. ``width`` is that of one linear map per modality
    before, to bound the size of W; None, as in the paper, takes the vectors as they are.
    """

    def __init__(
        self, face_dim: int, audio_dim: int, dim: PositiveInt = 256, width: int | None = None
    ) -> None:
        super().__init__()
        self.dim = dim
        self.face_input = nn.Linear(face_dim, width) if width else nn.Identity()
        self.audio_input = nn.Linear(audio_dim, width) if width else nn.Identity()
        self.product = BilinearMap(width or face_dim, width or audio_dim, dim, bias=False)
        self.face_term = nn.Linear(width or face_dim, dim)
        self.audio_term = nn.Linear(width or audio_dim, dim, bias=False)
        init_lecun(self)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face, audio = self.face_input(face), self.audio_input(audio)
        return self.product(face, audio) + self.face_term(face) + self.audio_term(audio)
