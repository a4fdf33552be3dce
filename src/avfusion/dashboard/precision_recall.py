"""Precision-recall curve of each class."""

from typing import NamedTuple

import lightning as L
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from avfusion.dashboard.epoch_predictions import EpochPredictions
from avfusion.dashboard.tensorboard_writer import get_writer

THRESHOLDS = 127  # equally spaced in [0, 1]: what the tab expects


class Curve(NamedTuple):
    """One class at each threshold; counts of clips, then parts of one."""

    true_positives: Tensor
    false_positives: Tensor
    true_negatives: Tensor
    false_negatives: Tensor
    precision: Tensor
    recall: Tensor


class PrecisionRecall(EpochPredictions):
    """Write a precision-recall curve per class: of validation every n epochs, and of the test."""

    plot = "precision_recall"

    def __init__(self, every_n_epochs: int = 4) -> None:
        super().__init__(every_n_epochs, "precision_recall")

    def count(self, probabilities: Tensor, label: Tensor) -> Tensor:
        """Count true and false positives, ``[2, classes, thresholds]``."""
        return count_above_thresholds(probabilities, self.target.indicators(label))

    def show(self, trainer: L.Trainer, stage: str, counts: Tensor) -> None:
        """Write the curves of the classes that occur."""
        writer = get_writer(trainer)
        for name, true, false in zip(self.target.output_names, *counts, strict=True):
            if writer is not None and true[0]:
                curve = compute_curve(true, false)
                tag = f"{stage}_precision_recall/{name}"
                writer.add_pr_curve_raw(tag, *curve, trainer.global_step, THRESHOLDS)


def count_above_thresholds(
    probabilities: Float[Tensor, "clips classes"], indicators: Int[Tensor, "clips classes"]
) -> Int64[Tensor, "2 classes thresholds"]:
    """Count true and false positives of clips, of which 1 says a class, 0 none, -1 nothing."""
    thresholds = torch.linspace(0, 1, THRESHOLDS, device=indicators.device)
    positive = probabilities[..., None] >= thresholds
    own, known = (indicators == 1)[..., None], (indicators >= 0)[..., None]
    return torch.stack([(positive & own).sum(0), (positive & ~own & known).sum(0)])


def compute_curve(true: Tensor, false: Tensor) -> Curve:
    """Curve of a class that occurs; at the first threshold every clip is positive."""
    precision = true / (true + false).clamp(min=1)
    return Curve(true, false, false[0] - false, true[0] - true, precision, true / true[0])
