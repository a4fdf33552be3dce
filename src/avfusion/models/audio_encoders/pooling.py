"""From the tokens of a voice, ``[batch, frames, dim]``, to its vector; padding never counts."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

POOLINGS = ("mean", "last", "attentive")


def pool(kind: str, dim: int, backward: int = 0) -> nn.Module:
    """Return a pooling; ``backward`` is how many numbers at a token's end ran back in time."""
    if kind == "mean":
        return MeanPooling()
    if kind == "last":
        return LastPooling(backward)
    if kind == "attentive":
        return AttentivePooling(dim)
    raise ValueError(f"pooling must be one of {POOLINGS}, got {kind!r}.")


def true_frames(
    tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
) -> Bool[Tensor, "batch frames"]:
    """Mark the frames of each clip that are no padding."""
    return torch.arange(tokens.shape[1], device=tokens.device) < length[:, None]


class MeanPooling(nn.Module):
    """The mean over the true frames."""

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the mean over the true frames of each clip."""
        true = true_frames(tokens, length)
        return torch.where(true[..., None], tokens, 0).sum(1) / length[:, None]


class LastPooling(nn.Module):
    """What is known once all was heard: of the part that ran back in time, that is frame zero."""

    def __init__(self, backward: int = 0) -> None:
        super().__init__()
        self.backward = backward

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the state of each direction after its last true frame."""
        last = tokens[torch.arange(len(tokens), device=tokens.device), length - 1]
        forward = tokens.shape[-1] - self.backward
        return torch.cat([last[:, :forward], tokens[:, 0, forward:]], dim=-1)


class AttentivePooling(nn.Module):
    """A mean whose weights are learned: a softmax over the true frames.

    Lin et al., 2017, https://arxiv.org/abs/1703.03130, with one row of weights.
    """

    def __init__(self, dim: int, hidden: int = 128) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)  # the softmax would cancel it

    def forward(
        self, tokens: Float[Tensor, "batch frames dim"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch dim"]:
        """Return the weighted mean over the true frames of each clip."""
        true = true_frames(tokens, length)[..., None]
        scores = self.score(torch.tanh(self.hidden(tokens)))
        weights = scores.masked_fill(~true, -torch.inf).softmax(dim=1)
        return (weights * torch.where(true, tokens, 0)).sum(1)


def check_dropout(dropout: float) -> None:
    """Refuse a dropout of an audio encoder that is no probability, or leaves nothing."""
    if not 0 <= dropout < 1:
        raise ValueError(f"model.network.audio_encoder.dropout must lie in [0, 1), got {dropout}.")
