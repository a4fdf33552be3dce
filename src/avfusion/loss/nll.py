"""Negative log-likelihood, for networks that answer with log-probabilities."""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.loss.weights import class_weights


class NegativeLogLikelihood(nn.Module):
    """Negative log-likelihood of log-probabilities, such as the seed network's.

    Of logits it is the cross entropy: the logarithm of the softmax leaves log-probabilities alone.
    """

    weights: Tensor | None

    def __init__(
        self, class_counts: Sequence[int], weights: Sequence[float] | str | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("weights", class_weights(class_counts, weights))

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the batch."""
        return F.nll_loss(logits.log_softmax(dim=1), label, weight=self.weights)
