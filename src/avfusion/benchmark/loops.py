"""Loops over an epoch: a bare one, and Lightning's Trainer with few and with all callbacks."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import lightning as L
import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from avfusion.benchmark.rounds import Clock, Parts
from avfusion.benchmark.sides import PRECISIONS, Side
from avfusion.benchmark.step import build_task, compute_loss, load_clips, use_precision
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.build import build_trainer

BARE, MINIMAL, ALL = "bare loop", "Trainer, minimal callbacks", "Trainer, all dashboards"
RUN_FOLDER = "${hydra:runtime.output_dir}"


def make_loops(
    side: Side, open_data: Callable[[], FaceAudioDataModule], clock: Clock, epochs: int
) -> dict[str, Callable[[], Parts]]:
    """Make the loops that are measured over the same network, data, optimizer and clipping.

    Each visit trains a new network for some epochs, with a validation in each, and returns the
    seconds of one epoch; what comes before the first step does not count.
    """
    cfg = side.cfg
    everything = OmegaConf.merge(cfg, {"callbacks": cfg.dashboards})
    assert isinstance(everything, DictConfig)

    def bare() -> Parts:
        data = open_data()
        return {"epoch": train_bare(build_new(side, data), data, side, clock, epochs) / epochs}

    def with_trainer(configured: DictConfig) -> Callable[[], Parts]:
        def train() -> Parts:
            data = open_data()
            task = build_new(side, data)
            with TemporaryDirectory(ignore_cleanup_errors=True) as folder, _quietly():
                return {"epoch": train_with_trainer(task, data, configured, clock, epochs, folder)}

        return train

    return {BARE: bare, MINIMAL: with_trainer(cfg), ALL: with_trainer(everything)}


def build_new(side: Side, data: FaceAudioDataModule) -> Any:
    """Build the network of a side, with the same first weights each time."""
    torch.manual_seed(side.cfg.seed)
    return build_task(side, data)


def train_bare(
    task: Any, data: FaceAudioDataModule, side: Side, clock: Clock, epochs: int
) -> float:
    """Train as the Trainer does, without it, and return the seconds."""
    device, clip_norm = clock.device, side.cfg.trainer.gradient_clip_val
    dtype = PRECISIONS[side.precision]
    task.to(device)
    batches = data.loader("train", shuffle=True)
    optimizer, schedule = task.build_optimizer(epochs * len(batches))

    clock.wait()
    began = perf_counter()
    for epoch in range(epochs):
        task.train()
        batches.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
        for batch in batches:
            with use_precision(device, dtype):
                loss = compute_loss(task, load_clips(batch, device))
            optimizer.zero_grad()
            loss.backward()
            if clip_norm:
                nn.utils.clip_grad_norm_(task.parameters(), clip_norm)
            optimizer.step()
            schedule.step()

        task.eval()
        for batch in data.loader("val"):
            with torch.no_grad(), use_precision(device, dtype):
                compute_loss(task, load_clips(batch, device))
    clock.wait()
    return perf_counter() - began


def train_with_trainer(
    task: Any, data: FaceAudioDataModule, cfg: DictConfig, clock: Clock, epochs: int, folder: str
) -> float:
    """Train with the configured callbacks and loggers, and return the seconds of an epoch."""
    trainer = build_trainer(_write_to(folder, cfg, epochs))
    first = _FirstStep()
    trainer.callbacks.insert(0, first)  # type: ignore[attr-defined]  # a connector sets it
    trainer.fit(task, datamodule=data)
    clock.wait()
    return (perf_counter() - first.began) / trainer.current_epoch


class _FirstStep(L.Callback):
    """When training began."""

    began = 0.0

    def on_train_start(self, *_: Any) -> None:
        self.began = perf_counter()


def _write_to(folder: str, cfg: DictConfig, epochs: int) -> DictConfig:
    """Let a training write into a folder, which is not that of the run."""
    text = OmegaConf.to_yaml(cfg).replace(RUN_FOLDER, Path(folder).as_posix())
    changed = OmegaConf.create(text)
    assert isinstance(changed, DictConfig)
    changed.trainer.max_epochs = epochs
    return changed


@contextmanager
def _quietly() -> Iterator[None]:
    """Leave out what every training says, but for warnings."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)
