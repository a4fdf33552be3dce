"""The focal loss, for classes of which most clips are easy."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.loss.weights import class_weights


class Focal(nn.Module):
    """Cross entropy that counts a clip the less, the surer the network is of its class.

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, over several classes: each clip's cross
    entropy times ``(1 - p) ** gamma``, ``p`` being the probability of its class. The mean is
    weighted as in ``CrossEntropy``, which it equals at ``gamma`` zero.
    """

    weights: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[int],
        weights: Sequence[float] | str | None = None,
        gamma: float = 2.0,
    ) -> None:
        super().__init__()
        if not 0 <= gamma < float("inf"):
            raise ValueError(f"loss.gamma must be at least 0, got {gamma}.")
        self.register_buffer("weights", class_weights(class_counts, weights))
        self.gamma = gamma

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the batch."""
        surprise = F.cross_entropy(logits, label, reduction="none")
        doubt = -torch.expm1(-surprise)  # one minus the probability, exact where it is near one
        doubt = doubt.clamp(min=torch.finfo(doubt.dtype).tiny)  # powers below one rise without end
        weights = torch.ones_like(surprise) if self.weights is None else self.weights[label]
        return (weights * doubt.pow(self.gamma) * surprise).sum() / weights.sum()
