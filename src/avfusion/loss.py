"""The loss."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


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
        if weights == "balanced":
            occurring = sum(count > 0 for count in class_counts)
            each = sum(class_counts) / max(occurring, 1)
            weights = [each / count if count else 0.0 for count in class_counts]
        if weights is not None and (
            isinstance(weights, str) or len(weights) != len(class_counts) or min(weights) < 0
        ):
            raise ValueError(
                f"loss.weights must be null, balanced or {len(class_counts)} numbers of at least "
                f"0, got {weights}."
            )
        floats = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("weights", floats)
        self.label_smoothing = label_smoothing

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the batch."""
        return F.cross_entropy(
            logits, label, weight=self.weights, label_smoothing=self.label_smoothing
        )
