"""Scores of clips of which each class is a decision of its own."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric

from avfusion.targets.multi_label import SURE


def decided(logits: Float[Tensor, "*batch classes"]) -> Bool[Tensor, "*batch classes"]:
    """Say which classes clips are said to have."""
    return logits.float().sigmoid() > SURE


class Decisions(Metric):
    """Scores of yes or no for each clip and class.

    ``accuracy`` is the part of right decisions (one less the Hamming loss), ``subset_accuracy``
    that of the clips without a wrong one. ``accuracy_<class>`` is the part of the clips of a class
    that are said to have it, ``balanced_accuracy`` its mean over the classes that occur;
    ``macro_f1`` is the mean over the classes that occur or are named.
    """

    full_state_update = False
    higher_is_better = True
    agreed: Tensor
    occurring: Tensor
    named: Tensor
    both: Tensor
    faultless: Tensor
    clips: Tensor

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = list(class_names)
        for state in ("agreed", "occurring", "named", "both"):
            zeros = torch.zeros(len(class_names), dtype=torch.long)
            self.add_state(state, zeros, dist_reduce_fx="sum")
        for state in ("faultless", "clips"):
            self.add_state(state, torch.tensor(0), dist_reduce_fx="sum")

    def update(
        self, preds: Float[Tensor, "batch classes"], target: Int[Tensor, "batch classes"]
    ) -> None:
        """Count the decisions of a batch; ``preds`` are logits."""
        said, true = decided(preds), target == 1
        self.agreed += (said == true).sum(dim=0)
        self.occurring += true.sum(dim=0)
        self.named += said.sum(dim=0)
        self.both += (said & true).sum(dim=0)
        self.faultless += (said == true).all(dim=1).sum()
        self.clips += len(target)

    def compute(self) -> dict[str, Tensor]:
        """Return the scores."""
        recall = self.both / self.occurring.clamp(min=1)
        f1 = 2 * self.both / (self.occurring + self.named).clamp(min=1)
        each = zip(self.class_names, recall, self.occurring, strict=True)
        return {
            "accuracy": self.agreed.float().mean() / self.clips,
            "subset_accuracy": self.faultless / self.clips,
            "balanced_accuracy": recall[self.occurring > 0].mean(),
            "macro_f1": f1[self.occurring + self.named > 0].mean(),
            **{f"accuracy_{name}": value for name, value, clips in each if clips},
        }


class AveragePrecisions(Metric):
    """The area under the precision-recall curve of each class that occurs, and their mean.

    ``average_precision_<class>`` is the mean of the precisions at the clips that have the class, in
    the order of their logits; equal logits are one step.
    """

    full_state_update = False
    higher_is_better = True
    logits: Any  # a list until processes gather it
    targets: Any

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = list(class_names)
        for state in ("logits", "targets"):
            self.add_state(state, [], dist_reduce_fx="cat")

    def update(
        self, preds: Float[Tensor, "batch classes"], target: Int[Tensor, "batch classes"]
    ) -> None:
        """Keep logits and labels of a batch."""
        self.logits.append(preds.detach().float())
        self.targets.append(target)

    def compute(self) -> dict[str, Tensor]:
        """Return ``mean_average_precision`` and ``average_precision_<class>``."""
        logits, targets = (
            torch.cat(state) if isinstance(state, list) else state
            for state in (self.logits, self.targets)
        )
        each = zip(self.class_names, logits.unbind(dim=1), targets.unbind(dim=1), strict=True)
        known = {
            f"average_precision_{name}": average_precision(column, label == 1)
            for name, column, label in each
            if (label == 1).any()
        }
        mean = torch.stack(list(known.values())).mean() if known else logits.new_tensor(torch.nan)
        return {"mean_average_precision": mean, **known}


def average_precision(
    logits: Float[Tensor, "clips"], true: Bool[Tensor, "clips"]
) -> Float[Tensor, ""]:
    """Return the area under the curve of one class, in steps as they are."""
    order = logits.argsort(descending=True)
    ranked, hits = logits[order], true[order].cumsum(dim=0).float()
    ends = torch.ones_like(true)
    ends[:-1] = ranked[1:] != ranked[:-1]
    found, ranks = hits[ends], torch.arange(1, len(hits) + 1, device=hits.device)[ends]
    gained = found.diff(prepend=found.new_zeros(1)) / found[-1]
    return (gained * found / ranks).sum()
