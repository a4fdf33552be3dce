"""Gated recurrent units."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import check_dropout, make_pooling
from avfusion.models.initialization import init_recurrent
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize


class GRU(nn.Module):
    """Layers of gated recurrent units, with three quarters of an LSTM's parameters.

    Cho et al., 2014, https://arxiv.org/abs/1406.1078. Time runs forward only, so frames of padding,
    which come last, reach none of the true ones. ``dropout`` acts between layers, and
    ``bias=False`` leaves out the biases of the gates.
    """

    def __init__(
        self,
        mean: Sequence[Any],
        std: Sequence[Any],
        hidden_dim: int = 256,
        num_layers: int = 2,
        dropout: float = 0.0,
        bias: bool = True,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        if hidden_dim < 1 or num_layers < 1:
            raise ValueError(
                "GRU needs hidden_dim and num_layers of at least 1, "
                f"got {hidden_dim}, {num_layers}."
            )
        check_dropout(dropout)

        self.stream = stream
        self.dim = hidden_dim
        self.normalize = Normalize(mean, std)
        self.layer_weights = LayerWeights(self.normalize.layers)
        self.layers = nn.GRU(
            self.normalize.dim,
            hidden_dim,
            num_layers,
            bias,
            batch_first=True,
            dropout=dropout if num_layers > 1 else 0.0,
        )
        self.pooling = make_pooling(pooling, hidden_dim)
        self.vector_dim = self.pooling.statistics * hidden_dim
        init_recurrent(self)

    def forward(
        self,
        audio: Float[Tensor, "batch *layers frames features"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode a sequence as the states of the last layer, and a vector."""
        tokens, _ = self.layers(self.layer_weights(audio, self.normalize))
        return tokens, self.pooling(tokens, audio_length)
