"""Timing of a training: seconds in all, and milliseconds per step."""

from statistics import median
from time import perf_counter
from typing import Any

import lightning as L
import torch


class Timing(L.Callback):
    """Measure the seconds that training takes, and the milliseconds of one step, which is a batch.

    The time of a step is that until the next one: loading, augmenting and logging count, what
    happens in and around validations does not. Each stretch without validation, mostly an epoch,
    gives a mean, as GPUs work behind the program's back; of several stretches the median counts,
    as everything warms up in the first one. A run that goes on counts its last part only.
    """

    def __init__(self) -> None:
        self.started = perf_counter()
        self.began: float | None = None  # when the first step of a stretch did
        self.steps = 0
        self.means: list[float] = []  # seconds

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin to count."""
        self.started, self.began = perf_counter(), None
        self.steps, self.means = 0, []

    def on_train_batch_start(self, *_: Any) -> None:
        """Start the clock, also where training goes on in the middle of an epoch."""
        if self.began is None:
            self.began = perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        """Count a step."""
        self.steps += 1

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock, also in the middle of an epoch."""
        self.stop(pl_module.device)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock after an epoch without validation."""
        self.stop(pl_module.device)

    def stop(self, device: torch.device) -> None:
        """Note the mean time of the steps of a stretch, if there were any."""
        if self.began is not None and self.steps:
            if device.type != "cpu":
                torch.accelerator.synchronize(device)
            self.means.append((perf_counter() - self.began) / self.steps)
        self.began, self.steps = None, 0


def get_timing(trainer: L.Trainer) -> dict[str, float]:
    """Seconds and milliseconds per step of a training that has ended, if they were measured."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # a connector sets it
        if isinstance(callback, Timing) and callback.means:
            return {
                "seconds": round(perf_counter() - callback.started, 1),
                "step_milliseconds": round(1000 * median(callback.means), 2),
            }

    return {}
