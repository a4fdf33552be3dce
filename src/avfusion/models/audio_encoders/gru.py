"""Gated recurrent units."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import check_dropout, pool
from avfusion.models.initialization import draw_recurrent
from avfusion.models.layers.normalize import Standardise


class GRU(nn.Module):
    """Layers of gated recurrent units: an LSTM's memory with three quarters of its parameters.

    Cho et al., 2014, https://arxiv.org/abs/1406.1078. Time runs forward only, so frames of padding,
    which come last, reach none of the true ones. ``dropout`` is the probability that a number
    between two layers is left out; ``bias=False`` leaves out the biases of the gates.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        hidden: int = 256,
        layers: int = 2,
        dropout: float = 0.0,
        bias: bool = True,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        self.stream = stream
        if hidden < 1 or layers < 1:
            raise ValueError(f"GRU needs hidden and layers of at least 1, got {hidden}, {layers}.")
        check_dropout(dropout)
        self.dim = self.vector_dim = hidden
        self.standardise = Standardise(mean, std)
        between = dropout if layers > 1 else 0.0
        self.layers = nn.GRU(len(mean), hidden, layers, bias, batch_first=True, dropout=between)
        self.pooling = pool(pooling, hidden)
        draw_recurrent(self)

    def forward(
        self, audio: Float[Tensor, "batch frames features"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Return the states of the uppermost layer, and the audio vector."""
        tokens, _ = self.layers(self.standardise(audio))
        return tokens, self.pooling(tokens, audio_length)
