"""Softmax over the positions that are no padding."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def masked_softmax(
    logits: Float[Tensor, "batch glimpses positions"],
    mask: Bool[Tensor, "batch positions"] | None = None,
) -> Float[Tensor, "batch glimpses positions"]:
    """Make weights that sum to one over the positions that ``mask`` marks, by default over all."""
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None], -torch.inf)
    return logits.softmax(dim=-1)
