"""The two recurrent networks of the seed."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.encoders.standardise import Standardise


class LSTM(nn.Module):
    """Two LSTMs, one on top of the other; the vector is both their means over the true frames.

    Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735. Time runs forward
    only, so frames of padding, which come last, reach none of the true ones.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], hidden: int = 256, layers: int = 1
    ) -> None:
        super().__init__()
        if hidden < 1 or layers < 1:
            raise ValueError(f"LSTM needs hidden and layers of at least 1, got {hidden}, {layers}.")
        self.dim = hidden
        self.vector_dim = 2 * hidden
        self.standardise = Standardise(mean, std)
        self.lower = nn.LSTM(len(mean), hidden, layers, batch_first=True)
        self.upper = nn.LSTM(hidden, hidden, layers, batch_first=True)

    def forward(
        self, audio: Float[Tensor, "batch frames features"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Return the upper network's states, and the audio vector."""
        lower, _ = self.lower(self.standardise(audio))
        upper, _ = self.upper(lower)
        vector = true_mean(torch.cat([lower, upper], dim=-1), audio_length)
        return upper, vector


def true_mean(
    tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
) -> Float[Tensor, "batch dim"]:
    """Return the mean over the true frames of each clip."""
    true = torch.arange(tokens.shape[1], device=tokens.device) < length[:, None]
    return torch.where(true[..., None], tokens, 0).sum(1) / length[:, None]
