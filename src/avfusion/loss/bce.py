"""Binary cross entropy, for clips of several classes."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.loss.weights import class_weights


class BinaryCrossEntropy(nn.Module):
    """Cross entropy of one decision for each clip and class, of multi-label data.

    ``weights`` are null, one per class, or ``balanced``: how much a clip that has a class counts
    for it; balanced, all those that have it count as much as all the ``clips`` that do not.
    """

    weights: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[int],
        clips: int,
        weights: Sequence[float] | str | None = None,
    ) -> None:
        super().__init__()
        if weights == "balanced":
            weights = [(clips - count) / count if count else 0.0 for count in class_counts]
        self.register_buffer("weights", class_weights(class_counts, weights))

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch classes"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the decisions of the batch."""
        return F.binary_cross_entropy_with_logits(
            logits, label.to(logits.dtype), pos_weight=self.weights
        )
