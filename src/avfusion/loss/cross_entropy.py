"""Cross entropy, the usual loss."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.loss.weights import class_weights


class CrossEntropy(nn.Module):
    """Cross entropy of logits.

    ``weights`` are null, one per class, or ``balanced``: inverse to the number of training clips of
    a class, with mean one over the clips. ``label_smoothing`` lies in [0, 1).
    """

    weights: Tensor | None

    def __init__(
        self,
        class_counts: Sequence[int],
        weights: Sequence[float] | str | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"loss.label_smoothing must lie in [0, 1), got {label_smoothing}.")
        self.register_buffer("weights", class_weights(class_counts, weights))
        self.label_smoothing = label_smoothing

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the batch."""
        return F.cross_entropy(
            logits, label, weight=self.weights, label_smoothing=self.label_smoothing
        )
