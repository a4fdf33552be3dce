"""Streams that were computed when the store was prepared, as tokens and a vector."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.gru import GRU
from avfusion.models.audio_encoders.pooling import check_dropout, make_pooling
from avfusion.models.audio_encoders.tcn import TCN
from avfusion.models.audio_encoders.transformer import Transformer
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize

TEMPORAL_LAYERS = {"gru": GRU, "tcn": TCN, "transformer": Transformer}


class Precomputed(nn.Module):
    """Hand on the frames of a stream, such as a frozen encoder of voices has put into a store.

    ``shape`` is that of a clip's item: ``[frames, features]``, or ``[features]`` of one vector per
    clip, which is a sequence of one frame and is not pooled. Layers come first in it; they are
    averaged by learned weights, after a LayerNorm of each where ``layer_norm`` is true.

    ``projection`` is the width of a linear map of each frame, with ``dropout`` before it, and
    ``temporal`` names layers that read the projected frames: none, gru, tcn or transformer, of
    ``hidden_dim`` numbers, and as many as ``num_layers`` says. The encoder that computed the stream
    is no part of the network and does not learn.
    """

    def __init__(
        self,
        mean: Sequence[Any],
        std: Sequence[Any],
        shape: Sequence[int] = (),
        projection: int | None = None,
        temporal: str = "none",
        hidden_dim: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
        layer_norm: bool = False,
        pooling: str = "mean+std",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        if temporal != "none" and temporal not in TEMPORAL_LAYERS:
            raise ValueError(
                f"temporal must be none, {', '.join(TEMPORAL_LAYERS)}, got {temporal!r}."
            )
        if projection is not None and projection < 1:
            raise ValueError(f"projection must be null or at least 1, got {projection}.")
        if hidden_dim < 1 or num_layers < 1:
            raise ValueError(
                "Precomputed needs hidden_dim and num_layers of at least 1, "
                f"got {hidden_dim}, {num_layers}."
            )
        check_dropout(dropout)

        self.stream = stream
        self.normalize = Normalize(mean, std)
        self.layer_weights = LayerWeights(self.normalize.layers, layer_norm)
        self.dropout = nn.Dropout(dropout)
        self.projection: nn.Module = nn.Identity()
        self.dim = self.normalize.dim
        if projection is not None:
            self.projection = nn.Linear(self.dim, projection)
            init_lecun(self.projection)
            self.dim = projection

        self.temporal: nn.Module | None = None
        if temporal != "none":
            normalized = [0.0] * self.dim, [1.0] * self.dim
            layers = TEMPORAL_LAYERS[temporal]
            self.temporal = layers(*normalized, hidden_dim=hidden_dim, num_layers=num_layers)
            self.dim = hidden_dim

        is_vector = len(shape) == (2 if self.normalize.layers else 1)
        self.pooling = make_pooling("mean" if is_vector else pooling, self.dim)
        self.vector_dim = self.pooling.statistics * self.dim

    def forward(
        self,
        audio: Float[Tensor, "batch *layers frames features"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode a sequence as a token for each frame, and a vector."""
        tokens = self.layer_weights(audio, self.normalize)
        tokens = self.projection(self.dropout(tokens))
        if self.temporal is not None:
            tokens, _ = self.temporal(tokens, audio_length)
        return tokens, self.pooling(tokens, audio_length)
