"""Concatenation and a perceptron."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_he, init_side_by_side


class ConcatMLPFusion(nn.Module):
    """Put the two vectors side by side and let rectified layers learn how they go together.

    The baseline of Ben-younes et al., 2019, https://arxiv.org/abs/1902.00038, there with two layers
    of 500. The last map has no rectifier.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        hidden: Sequence[int] = (156, 156),
    ) -> None:
        super().__init__()
        self.dim = dim
        widths = [face_dim + audio_dim, *hidden, dim]
        layers = [nn.Linear(*pair) for pair in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        init_he(self)
        if hidden:
            init_side_by_side(layers[0], (face_dim, audio_dim))

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        *hidden, output = self.layers
        fused = torch.cat([face, audio], dim=-1)
        for layer in hidden:
            fused = torch.relu(layer(fused))
        return output(fused)
