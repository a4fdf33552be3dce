"""What is taken for what."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from avfusion.callbacks.board import board, check_epochs, due, has_board
from avfusion.callbacks.last_scores import LastScores
from avfusion.data.clips import Clips
from avfusion.figures import confusion_figure


class ConfusionMatrix(L.Callback):
    """Draw the confusion matrix of validation every n epochs, and that of the test."""

    def __init__(self, every_n_epochs: int = 4) -> None:
        self.every_n_epochs = check_epochs(every_n_epochs, "confusion_matrix")
        self.last = LastScores()
        self.counts = torch.zeros(0, 0, dtype=torch.long)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count anew where this epoch is drawn."""
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
            self.counts = torch.zeros(classes, classes, dtype=torch.long, device=pl_module.device)
            self.last.listen(pl_module.network)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the clips of a batch."""
        if self.last.scores is not None:
            self.counts += confusions(self.last.scores.logits, batch.label)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the clips of a batch."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the validation split."""
        self.draw(trainer, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the split that was tested on."""
        self.draw(trainer, "test")

    def draw(self, trainer: L.Trainer, stage: str) -> None:
        """Draw what all processes counted."""
        if self.last.hook is None:
            return
        self.last.stop()
        counts = trainer.strategy.reduce(self.counts, reduce_op="sum")
        if writer := board(trainer):
            names = trainer.datamodule.names  # type: ignore[attr-defined]
            figure = confusion_figure(counts.cpu().numpy(), names)
            writer.add_figure(f"{stage}/confusion", figure, trainer.global_step)


def confusions(logits: Tensor, label: Tensor) -> Tensor:
    """Count the clips, ``[true, predicted]``, whose label is known."""
    classes = logits.shape[1]
    pairs = (classes * label + logits.argmax(dim=1))[label >= 0]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)
