"""Entropy of glimpses."""

import torch
from jaxtyping import Float
from torch import Tensor


def mean_entropy(glimpses: Float[Tensor, "batch glimpses *map"]) -> Float[Tensor, ""]:
    """Average the entropy of glimpses, in nats: from 0 (one cell) to log(cells) (uniform)."""
    weights = glimpses.flatten(2).float().clamp(min=torch.finfo(torch.float32).tiny)
    return -(weights * weights.log()).sum(dim=-1).mean()
