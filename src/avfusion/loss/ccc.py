"""The concordance loss, of numbers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Concordance(nn.Module):
    """One less the concordance correlation coefficient (Lin, 1989) of a batch.

    https://doi.org/10.2307/2532051. Missing numbers, which are NaN, do not count. The coefficient
    of a batch is not that of a split: it varies the more, the smaller batches are. ``eps`` is added
    to the denominator, which is zero where predictions and numbers are one constant.
    """

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        if not 0 < eps < float("inf"):
            raise ValueError(f"loss.eps must be above 0, got {eps}.")
        self.eps = eps

    def forward(
        self, outputs: Float[Tensor, "batch names"], label: Float[Tensor, "batch names"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the names of which the batch has numbers, 0 where it has none."""
        known = ~label.isnan()
        clips = known.sum(dim=0).clamp(min=1)
        predicted = torch.where(known, outputs.to(label.dtype), 0.0)
        true = label.nan_to_num()
        p_mean, t_mean = predicted.sum(dim=0) / clips, true.sum(dim=0) / clips
        p_off = torch.where(known, predicted - p_mean, 0.0)
        t_off = torch.where(known, true - t_mean, 0.0)
        shared = (p_off * t_off).sum(dim=0) / clips
        spread = (p_off.square() + t_off.square()).sum(dim=0) / clips
        loss = 1 - 2 * shared / (spread + (p_mean - t_mean).square() + self.eps)
        there = known.any(dim=0)
        return torch.where(there, loss, 0.0).sum() / there.sum().clamp(min=1)
