"""Resume: an interrupted training goes on bit for bit.

``Preemption`` writes a checkpoint when SIGTERM comes, ``RandomStates`` keeps the random states of
every process, ``ResumedMetrics`` what the training metrics have counted of an epoch so far. The
position within an epoch is kept by the data module (``FaceAudioDataModule.state_dict``), and
counted anew for another batch size by ``avfusion.callbacks.position``.
"""

import logging
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import distributed
from torchmetrics import MetricCollection

from avfusion.callbacks.checkpoints import LastCheckpoint, is_between_steps, is_epoch_over

log = logging.getLogger(__name__)


class Preemption(L.Callback):
    """Write the last checkpoint after the step in which SIGTERM came, and end the training.

    After the last batch of an epoch, validation and its checkpoints come first.
    """

    def __init__(self) -> None:
        self.asked = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen to the signal in the place of Lightning, which restores its own in the end."""
        self.asked = False
        signal.signal(signal.SIGTERM, self.remember)

    def remember(self, *_: Any) -> None:
        """Keep in mind that the signal came."""
        self.asked = True

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """End within an epoch, all processes after the same batch."""
        if not is_between_steps(trainer, batch_idx) or not self.agreed(trainer):
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # a connector sets it
            if isinstance(callback, LastCheckpoint):
                callback.save(trainer)
        raise SIGTERMException

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End between epochs, once all of the last one is written."""
        if self.agreed(trainer):
            raise SIGTERMException

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End after the last epoch."""
        if self.agreed(trainer):
            raise SIGTERMException

    def agreed(self, trainer: L.Trainer) -> bool:
        """Whether any process was asked to end."""
        return bool(trainer.strategy.reduce_boolean_decision(self.asked, all=False))


@contextmanager
def exit_on_sigterm(folder: Path) -> Iterator[None]:
    """Leave with code 143 where SIGTERM ended the training, which can be resumed."""
    try:
        yield
    except SIGTERMException:
        log.warning("Ended by SIGTERM. Resume with ckpt_path=%s", folder)
        sys.exit(128 + signal.SIGTERM)


class RandomStates(L.Callback):
    """Keep the random states of every process in the checkpoint, as tensors and whole numbers."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """States of all processes; each of them calls this."""
        return {"states": gather_objects(get_random_states())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training begins."""
        self.states = state_dict["states"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the states of this process, where there were as many of them."""
        if len(self.states) == trainer.world_size:
            set_random_states(self.states[trainer.global_rank])
        self.states = []


def gather_objects(value: Any) -> list[Any]:
    """Gather the values of all processes, in the order of their ranks."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def get_random_states() -> dict[str, Any]:
    """Random states of python, numpy, torch and its devices, as tensors and plain numbers."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), [int(key) for key in keys], int(position), has_gauss, float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Set all random states; those of devices where there are as many of them."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    if len(states["cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


class ResumedMetrics(L.Callback):
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
        checkpoint["training_metrics"] = gather_objects(
            _get_metric_state(_training_metrics(pl_module))
        )

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the counts until training begins."""
        self.counted = checkpoint.get("training_metrics", [])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count on from where this process was, if there were as many of them."""
        if len(self.counted) == trainer.world_size:
            _set_metric_state(_training_metrics(pl_module), self.counted[trainer.global_rank])
        self.counted = []


def _training_metrics(task: L.LightningModule) -> MetricCollection:
    metrics = task.train_metrics
    assert isinstance(metrics, MetricCollection)
    return metrics


def _get_metric_state(metrics: MetricCollection) -> dict[str, Any]:
    metrics.persistent(True)
    counts = dict(metrics.state_dict())
    metrics.persistent(False)  # the weights go without
    return counts


def _set_metric_state(metrics: MetricCollection, counts: dict[str, Any]) -> None:
    metrics.load_state_dict(counts)
    for metric in metrics.values():
        metric.to(metric.device)
        metric._update_count = 1  # private, or computing it would warn: nothing was updated
