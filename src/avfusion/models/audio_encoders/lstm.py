"""The two recurrent networks of the seed."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import check_dropout, pool
from avfusion.models.initialization import draw_recurrent
from avfusion.models.layers.normalize import Standardise


class LSTM(nn.Module):
    """Two LSTMs, one on top of the other; the vector pools the true frames of both.

    Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735. Time runs forward
    only, so frames of padding, which come last, reach none of the true ones. ``dropout`` is the
    probability that a number between two layers, or between both LSTMs, is left out; ``bias=False``
    leaves out the biases of their gates.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        bias: bool = True,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        self.stream = stream
        if hidden < 1 or layers < 1:
            raise ValueError(f"LSTM needs hidden and layers of at least 1, got {hidden}, {layers}.")
        check_dropout(dropout)
        self.dim = hidden
        self.vector_dim = 2 * hidden
        self.standardise = Standardise(mean, std)
        inside = dropout if layers > 1 else 0.0
        self.lower = nn.LSTM(len(mean), hidden, layers, bias, batch_first=True, dropout=inside)
        self.upper = nn.LSTM(hidden, hidden, layers, bias, batch_first=True, dropout=inside)
        self.between = nn.Dropout(dropout) if dropout else nn.Identity()
        self.pooling = pool(pooling, self.vector_dim)
        draw_recurrent(self)

    def forward(
        self, audio: Float[Tensor, "batch frames features"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Return the upper network's states, and the audio vector."""
        lower, _ = self.lower(self.standardise(audio))
        upper, _ = self.upper(self.between(lower))
        return upper, self.pooling(torch.cat([lower, upper], dim=-1), audio_length)
