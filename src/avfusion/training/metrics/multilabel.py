"""Scores of multi-label classification.

torchmetrics' macro averages count a class of which there is no clip as 0, and its ClasswiseWrapper
gives such a class a score of its own: here it has none and is left out of the averages.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MultilabelExactMatch, MultilabelStatScores
from torchmetrics.functional.classification import multilabel_average_precision
from torchmetrics.utilities import dim_zero_cat


class ExactMatch(MultilabelExactMatch):
    """Fraction of the clips of which every class is predicted correctly, from logits."""

    def update(
        self, preds: Float[Tensor, "batch classes"], target: Int[Tensor, "batch classes"]
    ) -> None:
        """Count the clips of a batch."""
        # Not left to torchmetrics, which takes a batch of logits within [0, 1] for probabilities.
        super().update(preds.float().sigmoid(), target)


class MultilabelScores(MultilabelStatScores):
    """Accuracy, recall and F1, from logits and a threshold for their probabilities.

    ``accuracy`` is the fraction of correct decisions, one per clip and class (one less the Hamming
    loss). ``accuracy_<class>`` is the recall of a class that occurs, ``balanced_accuracy`` the mean
    of these. ``macro_f1`` is the mean over the classes that occur or are predicted.
    """

    higher_is_better = True

    def __init__(self, class_names: Sequence[str], threshold: float) -> None:
        super().__init__(len(class_names), threshold, average=None)
        self.class_names = list(class_names)

    def update(
        self, preds: Float[Tensor, "batch classes"], target: Int[Tensor, "batch classes"]
    ) -> None:
        """Count the decisions of a batch."""
        super().update(preds.float().sigmoid(), target)  # as in ExactMatch

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Compute the scores of all clips."""
        true_positives, false_positives, true_negatives, false_negatives, support = (
            super().compute().T
        )
        correct, predicted = true_positives + true_negatives, true_positives + false_positives
        clips = correct[0] + false_positives[0] + false_negatives[0]

        recall = true_positives / support.clamp(min=1)
        f1 = 2 * true_positives / (support + predicted).clamp(min=1)
        each = zip(self.class_names, recall, support, strict=True)

        return {
            "accuracy": correct.float().mean() / clips,
            "balanced_accuracy": recall[support > 0].mean(),
            "macro_f1": f1[support + predicted > 0].mean(),
            **{f"accuracy_{name}": value for name, value, count in each if count},
        }


class AveragePrecision(Metric):
    """Area under the precision-recall curve of each class that occurs, and the mean of these.

    ``average_precision_<class>`` is the mean of the precisions at the clips that have the class, in
    the order of their logits; equal logits are one step.
    """

    full_state_update = False
    higher_is_better = True
    logits: Any  # a list until processes gather it
    labels: Any

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = list(class_names)
        for state in ("logits", "labels"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(
        self, preds: Float[Tensor, "batch classes"], target: Int[Tensor, "batch classes"]
    ) -> None:
        """Keep logits and labels of a batch."""
        self.logits.append(preds.detach().float())
        self.labels.append(target)

    def compute(self) -> dict[str, Tensor]:
        """Compute ``mean_average_precision`` and ``average_precision_<class>`` of all clips."""
        logits, labels = dim_zero_cat(self.logits), dim_zero_cat(self.labels)
        occurring = (labels == 1).any(dim=0).nonzero().flatten().tolist()
        if not occurring:
            return {"mean_average_precision": logits.new_tensor(torch.nan)}

        # Only their order counts, and torchmetrics wants numbers from 0 to 1: the sigmoid in single
        # precision makes large logits equal. On the CPU, as Apple's GPUs have no double precision.
        ranked = logits[:, occurring].cpu().double().atan() / torch.pi + 0.5
        each = multilabel_average_precision(
            ranked, labels[:, occurring].cpu(), len(occurring), average=None, validate_args=False
        ).to(logits)
        names = [f"average_precision_{self.class_names[number]}" for number in occurring]

        return {"mean_average_precision": each.mean(), **dict(zip(names, each, strict=True))}
