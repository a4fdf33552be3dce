"""Diagnostics of training: gradient norms, speed, waiting for data, memory."""

import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import nn
from torch.optim import Optimizer

from avfusion.data.batch import Clips

GIB = 2**30
PROCESS_STATUS = Path(
    "/proc/self/status"
)  # of Linux; the resource module also counts what the parent held


class Diagnostics(L.Callback):
    """Log gradient norms, speed and memory, as often as the trainer logs.

    ``train/gradient_norm_<part>`` is that of each part of the network, and of what learns beside
    it, before clipping.
    ``train/samples_per_second`` counts the clips of this process in the time since the last
    entry, ``train/loader_wait`` is the part of that time between steps: reading, moving to the
    device, augmenting. ``train/memory_gib`` is the most that the process has held so far (on
    Linux), ``train/gpu_memory_gib`` that of its GPU.
    """

    def __init__(self) -> None:
        self.clips = 0
        self.waited = 0.0
        self.began = self.ended = time.perf_counter()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave out what validation took."""
        self.restart()

    def restart(self) -> None:
        """Begin a new entry."""
        self.clips, self.waited = 0, 0.0
        self.began = self.ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Clips, batch_idx: int
    ) -> None:
        """Add up the time since the last step."""
        self.waited += time.perf_counter() - self.ended

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any
    ) -> None:
        """Log the norm of the gradient of each part."""
        if trainer.loggers and (trainer.global_step + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            norms = get_gradient_norms(pl_module, optimizer)
            _log_metrics(trainer, norms, trainer.global_step)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Log speed and memory."""
        self.clips += len(batch.label)
        self.ended = time.perf_counter()
        # Private, and what decides on log_every_n_steps for Lightning's own callbacks.
        if trainer._logger_connector.should_update_logs:
            seconds = self.ended - self.began
            speed = {
                "train/samples_per_second": self.clips / seconds,
                "train/loader_wait": self.waited / seconds,
            }
            _log_metrics(
                trainer, speed | get_peak_memory(pl_module.device), trainer.global_step - 1
            )
            self.restart()


def _log_metrics(trainer: L.Trainer, values: dict[str, float], step: int) -> None:
    """Give every logger some numbers."""
    for logger in trainer.loggers:
        logger.log_metrics(values, step)


def get_gradient_norms(task: L.LightningModule, optimizer: Optimizer) -> dict[str, float]:
    """Euclidean norm of the gradient of each part that an optimizer is about to change."""
    network, norms = task.get_submodule("network"), {}
    beside = [(name, part) for name, part in task.named_children() if part is not network]
    changed = {id(p) for group in optimizer.param_groups for p in group["params"]}

    for name, part in [*network.named_children(), *beside]:
        own = [p for p in part.parameters() if id(p) in changed]
        gradients = [p.grad for p in own if p.grad is not None]
        if gradients:
            norms[f"train/gradient_norm_{name}"] = float(nn.utils.get_total_norm(gradients))
    return norms


def get_peak_memory(device: torch.device) -> dict[str, float]:
    """Most memory, in GiB, that this process has held, and its GPU."""
    held = {}
    if PROCESS_STATUS.is_file():
        kib = PROCESS_STATUS.read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]
        held["train/memory_gib"] = int(kib) * 1024 / GIB

    if device.type == "cuda":
        held["train/gpu_memory_gib"] = torch.cuda.max_memory_allocated(device) / GIB

    return held
