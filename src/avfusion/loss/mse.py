"""Mean squared error, of numbers."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class MeanSquaredError(nn.Module):
    """The squared error of numbers; missing ones, which are NaN, do not count."""

    def forward(
        self, outputs: Float[Tensor, "batch names"], label: Float[Tensor, "batch names"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the known numbers of the batch, 0 where there is none."""
        known = ~label.isnan()
        error = torch.where(known, outputs - label, 0.0)
        return error.square().sum() / known.sum().clamp(min=1)
