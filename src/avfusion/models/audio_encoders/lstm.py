"""Two stacked LSTMs, the audio encoder of the seed network."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import check_dropout, make_pooling
from avfusion.models.initialization import init_recurrent
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize


class LSTM(nn.Module):
    """Two LSTMs, one on top of the other; the vector pools the true frames of both.

    Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735. Time runs forward
    only, so frames of padding, which come last, reach none of the true ones. ``num_layers`` is that
    of each of the two, ``dropout`` acts between layers and between both LSTMs, and ``bias=False``
    leaves out the biases of the gates.
    """

    def __init__(
        self,
        mean: Sequence[Any],
        std: Sequence[Any],
        hidden_dim: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
        bias: bool = True,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        if hidden_dim < 1 or num_layers < 1:
            raise ValueError(
                "LSTM needs hidden_dim and num_layers of at least 1, "
                f"got {hidden_dim}, {num_layers}."
            )
        check_dropout(dropout)

        self.stream = stream
        self.dim = hidden_dim
        self.normalize = Normalize(mean, std)
        self.layer_weights = LayerWeights(self.normalize.layers)
        options = {"bias": bias, "batch_first": True, "dropout": dropout if num_layers > 1 else 0.0}
        self.lower = nn.LSTM(self.normalize.dim, hidden_dim, num_layers, **options)
        self.upper = nn.LSTM(hidden_dim, hidden_dim, num_layers, **options)
        self.between = nn.Dropout(dropout) if dropout else nn.Identity()
        self.pooling = make_pooling(pooling, 2 * hidden_dim)
        self.vector_dim = self.pooling.statistics * 2 * hidden_dim
        init_recurrent(self)

    def forward(
        self,
        audio: Float[Tensor, "batch *layers frames features"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode a sequence as the states of the upper LSTM, and a vector of both."""
        lower, _ = self.lower(self.layer_weights(audio, self.normalize))
        upper, _ = self.upper(self.between(lower))
        return upper, self.pooling(torch.cat([lower, upper], dim=-1), audio_length)
