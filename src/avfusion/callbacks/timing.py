"""How long training takes."""

from statistics import median
from time import perf_counter
from typing import Any

import lightning as L
import torch


class Timing(L.Callback):
    """Measure the seconds that training takes, and the milliseconds of one step.

    The time of a step is that until the next one: loading, augmenting and logging count,
    validations do not. Each epoch gives a mean, as GPUs work behind the program's back; the median
    of the epochs leaves out the first one, in which everything warms up. A run that goes on after
    an interruption counts anew.
    """

    def __init__(self) -> None:
        self.started = self.began = perf_counter()
        self.steps = 0
        self.means: list[float] = []  # seconds

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to count."""
        self.started = perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin an epoch."""
        self.began = perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *_: Any
    ) -> None:
        """Count a step."""
        self.steps += 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock, also in the middle of an epoch."""
        self.pause(pl_module.device)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let it go on."""
        self.began = perf_counter()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End an epoch without validation."""
        self.pause(pl_module.device)

    def pause(self, device: torch.device) -> None:
        """Note the mean time of the steps since the clock began, if there were any."""
        if self.steps:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            self.means.append((perf_counter() - self.began) / self.steps)
            self.steps = 0


def timing(trainer: L.Trainer) -> dict[str, float]:
    """Return the times of a training that has ended, if they were measured."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # a connector sets it
        if isinstance(callback, Timing) and callback.means:
            return {
                "seconds": round(perf_counter() - callback.started, 1),
                "step_milliseconds": round(1000 * median(callback.means), 2),
            }
    return {}
