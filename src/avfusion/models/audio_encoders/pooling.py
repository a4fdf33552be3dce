"""Poolings of audio tokens over time, ``[batch, frames, dim]`` -> ``[batch, statistics * dim]``.

Padding never counts. A pooling says how many ``statistics`` it has of each number of a token.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

POOLINGS = ("mean", "mean+std", "last", "attentive")
MIN_VARIANCE = 1e-6  # half precision holds it; the gradient of a root is infinite at zero


def make_pooling(name: str, dim: int, backward: int = 0) -> Any:
    """Build a pooling by name; the last ``backward`` numbers of a token ran back in time."""
    if name == "mean":
        return MeanPooling()
    if name == "mean+std":
        return StatisticsPooling()
    if name == "last":
        return LastPooling(backward)
    if name == "attentive":
        return AttentivePooling(dim)
    raise ValueError(f"pooling must be one of {POOLINGS}, got {name!r}.")


def frame_mask(
    tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
) -> Bool[Tensor, "batch frames"]:
    """Mark the frames of each clip that are no padding."""
    return torch.arange(tokens.shape[1], device=tokens.device) < length[:, None]


class MeanPooling(nn.Module):
    """Mean over the true frames."""

    statistics = 1

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim"]:
        """Average the true frames of each clip."""
        mask = frame_mask(tokens, length)
        return torch.where(mask[..., None], tokens, 0).sum(1) / length[:, None]


class StatisticsPooling(nn.Module):
    """Mean and standard deviation over the true frames, which is at least 0.001.

    Snyder et al., 2018, https://doi.org/10.1109/ICASSP.2018.8461375.
    """

    statistics = 2

    def __init__(self) -> None:
        super().__init__()
        self.mean = MeanPooling()

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch both"]:
        """Compute the two of each number, all means first."""
        mean = self.mean(tokens, length)
        variance = self.mean((tokens - mean[:, None]).square(), length)
        return torch.cat([mean, variance.clamp(min=MIN_VARIANCE).sqrt()], dim=-1)


class LastPooling(nn.Module):
    """State after the last true frame; of the part that ran back in time, that is frame zero."""

    statistics = 1

    def __init__(self, backward: int = 0) -> None:
        super().__init__()
        self.backward = backward

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim"]:
        """Pick the final state of each direction."""
        last = tokens[torch.arange(len(tokens), device=tokens.device), length - 1]
        forward = tokens.shape[-1] - self.backward
        return torch.cat([last[:, :forward], tokens[:, 0, forward:]], dim=-1)


class AttentivePooling(nn.Module):
    """Mean whose weights are learned: a softmax over the true frames.

    Lin et al., 2017, https://arxiv.org/abs/1703.03130, with one row of weights.
    """

    statistics = 1

    def __init__(self, dim: int, hidden_dim: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden_dim)
        self.score = nn.Linear(hidden_dim, 1, bias=False)  # the softmax would cancel it

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim"]:
        """Average the true frames of each clip by their weights."""
        mask = frame_mask(tokens, length)[..., None]
        scores = self.score(torch.tanh(self.hidden(tokens)))
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
        return (weights * torch.where(mask, tokens, 0)).sum(1)


def check_dropout(dropout: float) -> None:
    """Refuse a dropout of an audio encoder outside of [0, 1)."""
    if not 0 <= dropout < 1:
        raise ValueError(f"model.network.audio_encoder.dropout must lie in [0, 1), got {dropout}.")
