"""Predictions of an epoch, summed over all clips and processes, for callbacks that draw them."""

from typing import Any

import lightning as L
import torch
from torch import Tensor

from avfusion.dashboard.last_outputs import LastOutputs
from avfusion.dashboard.media_loggers import has_media_loggers
from avfusion.dashboard.tensorboard_writer import check_epochs, is_due
from avfusion.data.batch import Clips
from avfusion.targets import Target


class EpochPredictions(L.Callback):
    """Sum up the predictions of validation every n epochs, and those of the test.

    A subclass says with ``plot`` which of the target's plots it makes (nothing is counted where
    the target has none), with ``count`` what to count, and with ``show`` what to make of it.
    Counts of batches and of processes are summed, unless ``add`` and ``gather`` say otherwise.
    """

    plot: str

    def __init__(self, every_n_epochs: int, name: str) -> None:
        self.every_n_epochs = check_epochs(every_n_epochs, name)
        self.last = LastOutputs()
        self.target: Target  # of the task that is counted
        self.counts = torch.zeros(0)

    def count(self, predictions: Tensor, label: Tensor) -> Tensor:
        """Counts of clips, ``[batch, classes]`` and their encoded labels, or of none."""
        raise NotImplementedError

    def add(self, counts: Tensor, more: Tensor) -> Tensor:
        """Counts of two batches together."""
        return counts + more

    def gather(self, trainer: L.Trainer, counts: Tensor) -> Tensor:
        """Counts of all processes together; each of them calls this."""
        return trainer.strategy.reduce(counts, reduce_op="sum")

    def show(self, trainer: L.Trainer, stage: str, counts: Tensor) -> None:
        """Show the counts of a whole split; the first process does."""
        raise NotImplementedError

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count anew where this epoch is shown."""
        if is_due(trainer, self.every_n_epochs):
            self.begin(trainer, pl_module)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count anew."""
        if self.every_n_epochs:
            self.begin(trainer, pl_module)

    def begin(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the network where somebody will look."""
        if has_media_loggers(trainer) and self.plot in pl_module.target.plots:
            self.target = pl_module.target
            nobody = torch.from_numpy(self.target.encode_unlabeled(0)).to(pl_module.device)
            nothing = torch.zeros(0, self.target.outputs, device=pl_module.device)
            self.counts = self.count(nothing, nobody)
            self.last.listen(pl_module.network)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the clips of a batch."""
        if self.last.scores is not None:
            predictions = self.target.predict(self.last.scores.logits)
            self.counts = self.add(self.counts, self.count(predictions, batch.label))

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the clips of a batch."""
        self.on_validation_batch_end(trainer, pl_module, outputs, batch)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the validation split."""
        self.end(trainer, "val")

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the split that was tested on."""
        self.end(trainer, "test")

    def end(self, trainer: L.Trainer, stage: str) -> None:
        """Add up what all processes counted, and leave the network alone."""
        if self.last.hook is None:
            return
        self.last.stop()
        counts = self.gather(trainer, self.counts)
        if trainer.is_global_zero:
            self.show(trainer, stage, counts.cpu())
