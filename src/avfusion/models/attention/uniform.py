"""Uniform attention, the control without a choice."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.models.layers.masked_softmax import masked_softmax


class UniformAttention(nn.Module):
    """Give every position the same weight: the ablation of attention."""

    def __init__(self, channels: int, audio_dim: int, glimpses: int = 1) -> None:
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}.")
        self.face_dim = glimpses * channels
        self.glimpses = glimpses

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
        mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Average the map, once per glimpse."""
        positions = face_map.flatten(2)
        if mask is not None:
            weights = masked_softmax(torch.zeros_like(positions[:, :1]), mask)
            mean = (positions @ weights.transpose(1, 2)).squeeze(-1).repeat(1, self.glimpses)
            return mean, weights.expand(-1, self.glimpses, -1)

        weights = torch.full_like(positions[:, :1], 1 / positions.shape[-1])
        mean = positions.mean(dim=-1).repeat(1, self.glimpses)
        return mean, weights.expand(-1, self.glimpses, -1)
