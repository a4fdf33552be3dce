"""How wide glimpses are."""

import torch
from jaxtyping import Float
from torch import Tensor


def mean_entropy(glimpses: Float[Tensor, "batch glimpses *map"]) -> Float[Tensor, ""]:
    """Return the mean entropy of glimpses, in nats."""
    weights = glimpses.flatten(2).float().clamp(min=torch.finfo(torch.float32).tiny)
    return -(weights * weights.log()).sum(dim=-1).mean()
