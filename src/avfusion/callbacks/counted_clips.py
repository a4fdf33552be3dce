"""A training epoch that goes on after an interruption is reported as a whole."""

from typing import Any

import lightning as L
from torchmetrics import MetricCollection

from avfusion.callbacks.checkpoints import is_epoch_over
from avfusion.callbacks.random_states import of_each_process


class CountedClips(L.Callback):
    """Keep in the checkpoint what the training metrics have counted and not yet reported."""

    def __init__(self) -> None:
        self.counted: list[dict[str, Any]] = []

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the counts of all processes; each of them calls this."""
        after_last_batch = trainer.is_last_batch and not trainer.validating
        if is_epoch_over(trainer) or after_last_batch:
            return  # who goes on from here begins with the next epoch
        checkpoint["counted_clips"] = of_each_process(counts_of(training_metrics(pl_module)))

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the counts until training begins."""
        self.counted = checkpoint.get("counted_clips", [])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count on from where this process was, if there were as many of them."""
        if len(self.counted) == trainer.world_size:
            count_on(training_metrics(pl_module), self.counted[trainer.global_rank])
        self.counted = []


def training_metrics(task: L.LightningModule) -> MetricCollection:
    """Return the metrics that the training clips are counted by."""
    metrics = task.train_metrics
    assert isinstance(metrics, MetricCollection)
    return metrics


def counts_of(metrics: MetricCollection) -> dict[str, Any]:
    """Return a copy of what metrics have counted."""
    metrics.persistent(True)
    counts = dict(metrics.state_dict())
    metrics.persistent(False)  # the weights go without
    return counts


def count_on(metrics: MetricCollection, counts: dict[str, Any]) -> None:
    """Let metrics go on from there."""
    metrics.load_state_dict(counts)
    for metric in metrics.values():
        metric.to(metric.device)
        metric._update_count = 1  # an epoch may lack nothing but its report
