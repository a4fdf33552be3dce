"""Losses of logits, over classes of which one is right; ``bce`` where several may be.

A loss with ``multilabel`` is for labels that are 1 for each class that a clip has.
"""

import math
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
        self.register_buffer("weights", class_weights(class_counts, weights))
        self.label_smoothing = label_smoothing

    def forward(
        self, logits: Float[Tensor, "batch classes"], label: Int[Tensor, "batch"]
    ) -> Float[Tensor, ""]:
        """Return the mean over the batch."""
        return F.cross_entropy(
            logits, label, weight=self.weights, label_smoothing=self.label_smoothing
        )


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


class BinaryCrossEntropy(nn.Module):
    """Cross entropy of one decision for each clip and class, of multi-label data.

    ``weights`` are null, one per class, or ``balanced``: how much a clip that has a class counts
    for it; balanced, all those that have it count as much as all the ``clips`` that do not.
    """

    multilabel = True
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


def check_loss(loss: nn.Module, multilabel: bool) -> None:
    """Refuse a loss that is made for the other kind of labels than those of the data."""
    name = type(loss).__name__
    if multilabel and not is_multilabel(loss):
        raise ValueError(
            f"{name} is for clips of one class each, and these clips have several: set loss=bce "
            "(or prepare the corpus with corpus.multilabel=false)."
        )
    if is_multilabel(loss) and not multilabel:
        raise ValueError(
            f"{name} is for clips of several classes, and these clips have one each: set "
            "loss=cross_entropy (or prepare the corpus with corpus.multilabel=true)."
        )


def is_multilabel(loss: nn.Module) -> bool:
    """Say whether a loss is for clips of several classes."""
    return bool(getattr(loss, "multilabel", False))


def class_weights(
    class_counts: Sequence[int], weights: Sequence[float] | str | None
) -> Float[Tensor, "classes"] | None:
    """Return a weight per class, ``balanced`` ones from the number of training clips of each."""
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
