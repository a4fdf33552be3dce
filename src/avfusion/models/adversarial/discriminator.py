"""Discriminator: is a vector real?"""

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from avfusion.bounds import NonNegativeInt, PositiveInt
from avfusion.models.initialization import init_he, init_lecun


class Discriminator(nn.Module):
    """Distinguish real vectors from others: ``num_layers`` leaky rectified layers, then a logit.

    There is no batch normalization, through which the vectors of a batch would betray each other.
    ``spectral_norm`` divides each layer's weights by their largest singular value, so that the
    logit never changes faster than the vector does: Miyato et al., 2018,
    https://arxiv.org/abs/1802.05957. Slope 0.2: Radford et al., 2016,
    https://arxiv.org/abs/1511.06434.
    """

    def __init__(
        self,
        dim: int,
        hidden_dim: PositiveInt = 256,
        num_layers: NonNegativeInt = 2,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [dim, *[hidden_dim] * num_layers]
        self.hidden = nn.ModuleList([nn.Linear(*pair) for pair in pairwise(widths)])
        self.activation = nn.LeakyReLU(0.2)
        self.output = nn.Linear(widths[-1], 1)

        init_he(self.hidden)
        init_lecun(self.output)
        if spectral_norm:
            for layer in (*self.hidden, self.output):
                parametrizations.spectral_norm(layer)

    def forward(self, vector: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """Compute a logit per vector, above zero for what looks real."""
        for layer in self.hidden:
            vector = self.activation(layer(vector))
        return self.output(vector).squeeze(-1)
