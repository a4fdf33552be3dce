"""Low-rank bilinear fusion."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.initialisation import he

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


class LowRankFusion(nn.Module):
    """Multiply the two modalities, each projected to ``dim`` numbers: a bilinear map of that rank.

    Kim et al., 2017, https://arxiv.org/abs/1610.04325; the activation is tanh in the paper and relu
    in the seed network. Biases start at one: with zeros, an all-zero modality would make the
    product and every gradient zero.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: int = 256,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}."
            )
        self.dim = dim
        self.activation = ACTIVATIONS[activation]
        self.face_factors = nn.Linear(face_dim, dim)
        self.audio_factors = nn.Linear(audio_dim, dim)
        he(self)
        nn.init.ones_(self.face_factors.bias)
        nn.init.ones_(self.audio_factors.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face_factors = self.activation(self.face_factors(face))
        return face_factors * self.activation(self.audio_factors(audio))
