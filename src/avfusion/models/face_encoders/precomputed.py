"""Streams of faces that were computed when the store was prepared."""

import logging
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.precomputed import Precomputed as TokenEncoder

log = logging.getLogger(__name__)


class Precomputed(nn.Module):
    """Hand on the face maps, or the vectors, that a frozen encoder has put into a store.

    ``shape`` is that of a clip's item. Maps, ``[pictures, channels, rows, columns]``, stay as they
    are. Vectors of pictures or of other steps, ``[steps, features]``, are normalized and become a
    map of one cell per step, so that attention chooses among the steps; so does one vector per
    clip, ``[features]``, where there is nothing to choose. Layers come first in a shape. The other
    options are for vectors: see ``avfusion.models.audio_encoders.Precomputed``.

    The encoder that made the stream is no part of the network and does not learn; its weights
    travel in the checkpoint, beside those of the network, so that recordings can be predicted.
    """

    def __init__(
        self,
        shape: Sequence[int],
        mean: Sequence[Any] = (),
        std: Sequence[Any] = (),
        projection: int | None = None,
        temporal: str = "none",
        hidden_dim: int = 256,
        num_layers: int = 1,
        dropout: float = 0.0,
        layer_norm: bool = False,
        stream: str = "face_map",
    ) -> None:
        super().__init__()
        self.stream = stream
        self.tokens: TokenEncoder | None = None
        changes = projection is not None or temporal != "none" or dropout or layer_norm
        if changes and len(shape) == 4 and shape[2] == shape[3] == 1:
            shape = shape[:2]  # vectors, in the form of maps
        if len(shape) == 4:
            if changes:
                raise ValueError(
                    f"The stream {stream} holds face maps, which are handed on as they are: leave "
                    "out projection, temporal, dropout and layer_norm of "
                    "model.network.face_encoder, which are for vectors."
                )
            self.channels = shape[1]
            return

        self.tokens = TokenEncoder(
            mean,
            std,
            shape,
            projection,
            temporal,
            hidden_dim,
            num_layers,
            dropout,
            layer_norm,
            pooling="mean",
            stream=stream,
        )
        self.channels = self.tokens.dim
        if len(shape) == (2 if self.tokens.normalize.layers else 1):
            log.info(
                "The stream %s is one vector per clip: attention has nothing to look at.", stream
            )

    def forward(
        self,
        values: Float[Tensor, "batch *item"],
        length: Int[Tensor, "batch"] | None = None,
    ) -> Float[Tensor, "batch channels steps rows columns"]:
        """Put the channels of maps first, and make maps of vectors."""
        if self.tokens is None:
            return values.transpose(1, 2)

        if values.ndim == 5:  # maps of one cell
            values = values.flatten(2)
        layers = bool(self.tokens.normalize.layers)
        if values.ndim == 2 + layers:  # one vector per clip
            values = values.unsqueeze(-2)
        if length is None:
            steps = values.shape[1 + layers]
            length = torch.full((len(values),), steps, device=values.device)
        tokens, _ = self.tokens(values, length)
        return tokens.transpose(1, 2)[..., None, None]
