"""Generator: the vector of one modality, and noise, become a vector of the other."""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import NonNegativeInt, PositiveInt
from avfusion.models.initialization import init_he, init_lecun, init_side_by_side


class Generator(nn.Module):
    """Imagine a vector by ``num_layers`` rectified layers of ``hidden_dim`` and a linear map.

    ``noise_dim`` normal numbers beside the vector let one voice go with many faces. They are drawn
    anew for each vector in training; in evaluation they are zero, so that predictions repeat.
    Conditional generators: Mirza and Osindero, 2014, https://arxiv.org/abs/1411.1784.
    """

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        hidden_dim: PositiveInt = 256,
        num_layers: NonNegativeInt = 2,
        noise_dim: NonNegativeInt = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout of the generator must lie in [0, 1), got {dropout}.")

        self.noise_dim = noise_dim
        widths = [in_dim + noise_dim, *[hidden_dim] * num_layers]
        hidden = [nn.Linear(*pair) for pair in pairwise(widths)]
        self.hidden = nn.ModuleList(hidden)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(widths[-1], out_dim)

        init_he(self.hidden)
        init_lecun(self.output)
        if hidden and noise_dim:
            init_side_by_side(hidden[0], (in_dim, noise_dim))

    def forward(
        self,
        vector: Float[Tensor, "*batch in_dim"],
        noise: Float[Tensor, "*batch noise_dim"] | None = None,
    ) -> Float[Tensor, "*batch out_dim"]:
        """Imagine a vector for each given one; ``noise`` that is given counts in evaluation."""
        if self.noise_dim:
            noise = self.draw_noise(vector) if noise is None else noise
            vector = torch.cat([vector, noise], dim=-1)

        for layer in self.hidden:
            vector = self.dropout(torch.relu(layer(vector)))
        return self.output(vector)

    def draw_noise(
        self, vector: Float[Tensor, "*batch in_dim"]
    ) -> Float[Tensor, "*batch noise_dim"]:
        """Draw normal numbers in training; in evaluation they are their mean, zero."""
        noise = vector.new_zeros(*vector.shape[:-1], self.noise_dim)
        return noise.normal_() if self.training else noise
