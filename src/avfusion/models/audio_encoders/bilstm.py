"""LSTMs that hear a voice forward and backward."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import check_dropout, pool
from avfusion.models.initialization import draw_recurrent
from avfusion.models.layers.normalize import Standardise


class BiLSTM(nn.Module):
    """Layers of two LSTMs each, one of which hears the true frames from the last to the first.

    Graves and Schmidhuber, 2005, https://doi.org/10.1016/j.neunet.2005.06.042. To hear backward,
    the true frames change places and the padding stays behind them. Packed sequences compute the
    same in twice the time on a CPU, and make a GPU wait for the lengths. ``dropout`` is the
    probability that a number between two layers is left out; ``bias=False`` leaves out the biases
    of the gates.
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
            raise ValueError(
                f"BiLSTM needs hidden and layers of at least 1, got {hidden}, {layers}."
            )
        check_dropout(dropout)
        self.dim = self.vector_dim = 2 * hidden
        self.standardise = Standardise(mean, std)
        widths = [len(mean), *[2 * hidden] * (layers - 1)]
        self.forth = nn.ModuleList(
            nn.LSTM(width, hidden, bias=bias, batch_first=True) for width in widths
        )
        self.back = nn.ModuleList(
            nn.LSTM(width, hidden, bias=bias, batch_first=True) for width in widths
        )
        self.dropout = nn.Dropout(dropout)
        self.pooling = pool(pooling, self.dim, backward=hidden)
        draw_recurrent(self)

    def forward(
        self, audio: Float[Tensor, "batch frames features"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Return the states of the uppermost layer, both ways, and the audio vector."""
        places = reversal(audio_length, audio.shape[1])
        tokens = self.standardise(audio)
        for depth, (forth, back) in enumerate(zip(self.forth, self.back, strict=True)):
            below = self.dropout(tokens) if depth else tokens
            ahead, _ = forth(below)
            behind, _ = back(rearrange(below, places))
            tokens = torch.cat([ahead, rearrange(behind, places)], dim=-1)
        return tokens, self.pooling(tokens, audio_length)


def reversal(length: Int[Tensor, "batch"], frames: int) -> Int[Tensor, "batch frames"]:
    """Return, for each place, the frame to be put there: true ones in reverse, then padding."""
    frame = torch.arange(frames, device=length.device)
    return torch.where(frame < length[:, None], length[:, None] - 1 - frame, frame)


def rearrange(
    tokens: Float[Tensor, "batch frames dim"], places: Int[Tensor, "batch frames"]
) -> Float[Tensor, "batch frames dim"]:
    """Put the frames of each clip in their places."""
    first = tokens.shape[1] * torch.arange(len(tokens), device=tokens.device)
    rows = (first[:, None] + places).flatten()
    return tokens.flatten(0, 1).index_select(0, rows).view_as(tokens)
