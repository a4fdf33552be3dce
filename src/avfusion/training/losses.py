"""Losses.

Each fits some of the targets, which name it by its ``choice``: the file of ``conf/loss`` that makes
it. A loss without ``choice`` is taken for any target.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn


class CrossEntropy(nn.Module):
    """Cross entropy of logits, averaged over the batch.

    ``weights`` are null, one per class, or ``balanced``: inverse to the number of training clips of
    a class, with mean one over the clips. ``label_smoothing`` lies in [0, 1).
    """

    choice = "cross_entropy"
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
        """Average over the batch."""
        return F.cross_entropy(
            logits, label, weight=self.weights, label_smoothing=self.label_smoothing
        )


class Focal(nn.Module):
    """Focal loss: cross entropy in which clips that are classified well count less.

    Lin et al., 2017, https://arxiv.org/abs/1708.02002, over several classes: the cross entropy of a
    clip times the modulating factor ``(1 - p) ** gamma``, ``p`` being the probability of its class.
    The mean is weighted as in ``CrossEntropy``, which it equals at ``gamma`` zero.
    """

    choice = "focal"
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
        """Average over the batch."""
        cross_entropy = F.cross_entropy(logits, label, reduction="none")  # -log p
        one_minus_p = -torch.expm1(-cross_entropy)  # exact where p is near one
        # The gradient of a power below one is infinite at zero.
        one_minus_p = one_minus_p.clamp(min=torch.finfo(one_minus_p.dtype).tiny)

        weights = torch.ones_like(cross_entropy) if self.weights is None else self.weights[label]

        return (weights * one_minus_p.pow(self.gamma) * cross_entropy).sum() / weights.sum()


class NegativeLogLikelihood(nn.Module):
    """Negative log-likelihood of log-probabilities, such as the seed network's.

    Of logits it is the cross entropy, as the log-softmax leaves log-probabilities as they are.
    """

    choice = "nll"
    weights: Tensor | None

    def __init__(
        self, class_counts: Sequence[int], weights: Sequence[float] | str | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("weights", class_weights(class_counts, weights))

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """Average over the batch."""
        return F.nll_loss(logits.log_softmax(dim=1), label, weight=self.weights)


class BinaryCrossEntropy(nn.Module):
    """Binary cross entropy of multi-label data, averaged over clips and classes.

    ``weights`` are null, one per class, or ``balanced``: how much a clip that has a class counts
    for it; balanced, all those that have it count as much as all the ``clips`` that do not.
    """

    choice = "bce"
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
        """Average over the decisions of the batch."""
        return F.binary_cross_entropy_with_logits(
            logits, label.to(logits.dtype), pos_weight=self.weights
        )


class MeanAbsoluteError(nn.Module):
    """Mean absolute error of numbers; missing ones, which are NaN, do not count."""

    choice = "mae"

    def forward(
        self, outputs: Float[Tensor, "batch names"], label: Float[Tensor, "batch names"]
    ) -> Float[Tensor, ""]:
        """Average over the known numbers of the batch; 0 where there is none."""
        known = ~label.isnan()
        error = torch.where(known, outputs - label, 0.0)
        return error.abs().sum() / known.sum().clamp(min=1)


class MeanSquaredError(nn.Module):
    """Mean squared error of numbers; missing ones, which are NaN, do not count."""

    choice = "mse"

    def forward(
        self, outputs: Float[Tensor, "batch names"], label: Float[Tensor, "batch names"]
    ) -> Float[Tensor, ""]:
        """Average over the known numbers of the batch; 0 where there is none."""
        known = ~label.isnan()
        error = torch.where(known, outputs - label, 0.0)
        return error.square().sum() / known.sum().clamp(min=1)


class Concordance(nn.Module):
    """One less the concordance correlation coefficient (Lin, 1989) of a batch.

    https://doi.org/10.2307/2532051. Missing numbers, which are NaN, do not count. The coefficient
    of a batch is not that of a split: it varies the more, the smaller batches are. ``eps`` is added
    to the denominator, which is zero where predictions and numbers are one constant.
    """

    choice = "ccc"

    def __init__(self, eps: float = 1e-8) -> None:
        super().__init__()
        if not 0 < eps < float("inf"):
            raise ValueError(f"loss.eps must be above 0, got {eps}.")
        self.eps = eps

    def forward(
        self, outputs: Float[Tensor, "batch names"], label: Float[Tensor, "batch names"]
    ) -> Float[Tensor, ""]:
        """Average over the names of which the batch has numbers; 0 where it has none."""
        known = ~label.isnan()
        clips = known.sum(dim=0).clamp(min=1)
        predicted = torch.where(known, outputs.to(label.dtype), 0.0)
        true = label.nan_to_num()

        p_mean, t_mean = predicted.sum(dim=0) / clips, true.sum(dim=0) / clips
        p_centered = torch.where(known, predicted - p_mean, 0.0)
        t_centered = torch.where(known, true - t_mean, 0.0)
        covariance = (p_centered * t_centered).sum(dim=0) / clips
        variances = (p_centered.square() + t_centered.square()).sum(dim=0) / clips

        loss = 1 - 2 * covariance / (variances + (p_mean - t_mean).square() + self.eps)
        has_numbers = known.any(dim=0)

        return torch.where(has_numbers, loss, 0.0).sum() / has_numbers.sum().clamp(min=1)


def class_weights(
    class_counts: Sequence[int], weights: Sequence[float] | str | None
) -> Float[Tensor, "classes"] | None:
    """Check or make a weight per class; ``balanced`` ones follow from the training clips of each.

    Raises:
        ValueError: there is not one finite weight of at least 0 per class.
    """
    if weights is None:
        return None

    if weights == "balanced":
        occurring = sum(count > 0 for count in class_counts)
        each = sum(class_counts) / max(occurring, 1)
        weights = [each / count if count else 0.0 for count in class_counts]

    if (
        isinstance(weights, str)
        or len(weights) != len(class_counts)
        or not all(0 <= weight < math.inf for weight in weights)
    ):
        raise ValueError(
            f"loss.weights must be null, balanced or {len(class_counts)} numbers of at least 0, "
            f"got {weights!r}."
        )

    return torch.tensor(weights, dtype=torch.float32)
