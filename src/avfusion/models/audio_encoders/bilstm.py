"""Bidirectional LSTM."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import check_dropout, make_pooling
from avfusion.models.initialization import init_recurrent
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize


class BiLSTM(nn.Module):
    """Layers of two LSTMs each, one of which reads the true frames from the last to the first.

    Graves and Schmidhuber, 2005, https://doi.org/10.1016/j.neunet.2005.06.042. For the backward
    direction the true frames change places and the padding stays behind them. Packed sequences
    compute the same in twice the time on a CPU, and make a GPU wait for the lengths. ``hidden_dim``
    is that of each direction, ``dropout`` acts between layers, and ``bias=False`` leaves out the
    biases of the gates.
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
                "BiLSTM needs hidden_dim and num_layers of at least 1, "
                f"got {hidden_dim}, {num_layers}."
            )
        check_dropout(dropout)

        self.stream = stream
        self.dim = 2 * hidden_dim
        self.normalize = Normalize(mean, std)
        self.layer_weights = LayerWeights(self.normalize.layers)
        widths = [self.normalize.dim, *[2 * hidden_dim] * (num_layers - 1)]
        self.forward_lstms = nn.ModuleList(
            nn.LSTM(width, hidden_dim, bias=bias, batch_first=True) for width in widths
        )
        self.backward_lstms = nn.ModuleList(
            nn.LSTM(width, hidden_dim, bias=bias, batch_first=True) for width in widths
        )
        self.dropout = nn.Dropout(dropout)
        self.pooling = make_pooling(pooling, self.dim, backward=hidden_dim)
        self.vector_dim = self.pooling.statistics * self.dim
        init_recurrent(self)

    def forward(
        self,
        audio: Float[Tensor, "batch *layers frames features"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode a sequence as the states of the last layer, both directions, and a vector."""
        tokens = self.layer_weights(audio, self.normalize)
        order = _reverse_order(audio_length, tokens.shape[1])

        for depth, (forward_lstm, backward_lstm) in enumerate(
            zip(self.forward_lstms, self.backward_lstms, strict=True)
        ):
            below = self.dropout(tokens) if depth else tokens
            forward_states, _ = forward_lstm(below)
            backward_states, _ = backward_lstm(_reorder(below, order))
            tokens = torch.cat([forward_states, _reorder(backward_states, order)], dim=-1)

        return tokens, self.pooling(tokens, audio_length)


def _reverse_order(length: Int[Tensor, "batch"], frames: int) -> Int[Tensor, "batch frames"]:
    frame = torch.arange(frames, device=length.device)
    return torch.where(frame < length[:, None], length[:, None] - 1 - frame, frame)


def _reorder(
    tokens: Float[Tensor, "batch frames dim"], order: Int[Tensor, "batch frames"]
) -> Float[Tensor, "batch frames dim"]:
    first = tokens.shape[1] * torch.arange(len(tokens), device=tokens.device)
    rows = (first[:, None] + order).flatten()
    return tokens.flatten(0, 1).index_select(0, rows).view_as(tokens)
