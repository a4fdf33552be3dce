"""Multimodal low-rank bilinear (MLB) attention."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.models.initialization import init_he
from avfusion.models.layers.activation import make_activation
from avfusion.models.layers.masked_softmax import masked_softmax
from avfusion.models.layers.position_linear import PositionLinear, list_positions


class MLBAttention(nn.Module):
    """Score each position by a Hadamard product of its features with the audio vector.

    Kim et al., 2017, https://arxiv.org/abs/1610.04325: a tanh of each, their product, one linear
    map. Released code (Cadene's VQA network) puts relu for tanh and, between product and logits,
    further layers, each with a relu: ``activation`` and the widths of ``layers`` reach its form.
    The glimpse logits have no bias: the softmax cancels it.
    """

    def __init__(
        self,
        channels: int,
        audio_dim: int,
        hidden_dim: int = 512,
        glimpses: int = 2,
        activation: str = "tanh",
        layers: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}.")

        self.face_dim = glimpses * channels
        self.activation = make_activation(activation)
        self.face_factors = PositionLinear(channels, hidden_dim)
        self.audio_factors = nn.Linear(audio_dim, hidden_dim)
        widths = [hidden_dim, *layers]
        self.layers = nn.Sequential()
        for before, after in zip(widths[:-1], layers, strict=True):
            self.layers += nn.Sequential(PositionLinear(before, after), nn.ReLU())
        self.glimpse_logits = nn.Linear(widths[-1], glimpses, bias=False)
        init_he(self)

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
        mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Collect a face vector with each glimpse, and the weights."""
        positions = list_positions(face_map)
        face_factors = self.activation(self.face_factors(positions))
        product = face_factors * self.activation(self.audio_factors(audio))[:, None]
        logits = self.glimpse_logits(self.layers(product)).transpose(1, 2)
        weights = masked_softmax(logits, mask)
        return torch.bmm(weights, positions).flatten(1), weights
