"""How precise each class is at each threshold."""

from typing import Any, NamedTuple

import lightning as L
import torch
from torch import Tensor

from avfusion.callbacks.board import board, check_epochs, due, has_board
from avfusion.callbacks.last_scores import LastScores
from avfusion.data.clips import Clips

THRESHOLDS = 127  # equally spaced in [0, 1]: what the tab expects


class Curve(NamedTuple):
    """One class at each threshold; counts of clips, then parts of one."""

    true_positives: Tensor
    false_positives: Tensor
    true_negatives: Tensor
    false_negatives: Tensor
    precision: Tensor
    recall: Tensor


class PrecisionRecall(L.Callback):
    """Write a precision-recall curve per class: of validation every n epochs, and of the test."""

    def __init__(self, every_n_epochs: int = 4) -> None:
        self.every_n_epochs = check_epochs(every_n_epochs, "precision_recall")
        self.last = LastScores()
        self.counts = torch.zeros(2, 0, THRESHOLDS)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count anew where this epoch is written."""
        if due(trainer, self.every_n_epochs):
            self.begin(trainer, pl_module)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count anew."""
        if self.every_n_epochs:
            self.begin(trainer, pl_module)

    def begin(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the network where somebody will look."""
        if has_board(trainer):
            classes = len(trainer.datamodule.names)  # type: ignore[attr-defined]
            self.counts = torch.zeros(2, classes, THRESHOLDS, device=pl_module.device)
            self.last.listen(pl_module.network)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the clips of a batch."""
        if self.last.scores is not None:
            probabilities = self.last.scores.logits.float().softmax(dim=1)
            self.counts += above_thresholds(probabilities, batch.label)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the clips of a batch."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the curves of the validation split."""
        self.write(trainer, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the curves of the split that was tested on."""
        self.write(trainer, "test")

    def write(self, trainer: L.Trainer, stage: str) -> None:
        """Write the curves of what all processes counted, of the classes that occur."""
        if self.last.hook is None:
            return
        self.last.stop()
        true, false = trainer.strategy.reduce(self.counts, reduce_op="sum").cpu()
        writer = board(trainer)
        names = trainer.datamodule.names  # type: ignore[attr-defined]
        for number, name in enumerate(names):
            if writer is not None and true[number, 0]:
                curve = precision_recall(true[number], false[number])
                tag = f"{stage}_precision_recall/{name}"
                writer.add_pr_curve_raw(tag, *curve, trainer.global_step, THRESHOLDS)


def above_thresholds(probabilities: Tensor, label: Tensor) -> Tensor:
    """Count true and false positives, ``[2, classes, thresholds]``, of clips with a label."""
    thresholds = torch.linspace(0, 1, THRESHOLDS, device=label.device)
    positive = probabilities[..., None] >= thresholds
    own = (label[:, None] == torch.arange(probabilities.shape[1], device=label.device))[..., None]
    known = (label >= 0)[:, None, None]
    return torch.stack([(positive & own).sum(0), (positive & ~own & known).sum(0)])


def precision_recall(true: Tensor, false: Tensor) -> Curve:
    """Return the curve of a class that occurs; at the first threshold every clip is positive."""
    precision = true / (true + false).clamp(min=1)
    return Curve(true, false, false[0] - false, true[0] - true, precision, true / true[0])
