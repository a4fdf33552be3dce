"""What a run leaves for people and programs to read."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch import nn
from torch.utils.tensorboard.summary import hparams

from avfusion.cost import megaflops, parameters
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.task import ClassificationTask

log = logging.getLogger(__name__)
HEADLINE = ("accuracy", "macro_f1", "loss", "attention_hit")


def collect_results(
    trainer: L.Trainer, task: ClassificationTask, data: FaceAudioDataModule
) -> dict[str, Any]:
    """Return the metrics of a test, and what has to be known about them, under flat names."""
    named = sorted(trainer.callback_metrics.items())
    shared = data.description["shared_subjects"]
    return {
        **{name: float(value) for name, value in named if "/" in name},
        **costs(task.network, data),
        "data/corpus": data.description["corpus"],
        "data/store": str(data.path),
        "data/split": data.eval_split,
        "data/shared_subjects": None if shared is None else len(shared),  # null: unknown
        **{f"data/{name}": len(found) for name, found in data.description["leaks"].items()},
        **{f"data/{name}": len(found) for name, found in data.seen.items()},
    }


def costs(network: nn.Module, data: FaceAudioDataModule) -> dict[str, float]:
    """Return the parameters of a network, and of its fusion alone, and what one clip costs."""
    clip = data.dataset(data.eval_split).__getitems__([0])
    known = {"parameters": parameters(network)}
    if hasattr(network, "fusion"):
        known["parameters_of_fusion"] = parameters(network.get_submodule("fusion"))
    return known | {"megaflops": megaflops(network, clip._replace(face=clip.face.float()))}


def write_results(folder: Path, results: dict[str, Any]) -> Path:
    """Write results as JSON, which has no word for numbers that are not finite but null."""
    known = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in results.items()
    }
    path = folder / "results.json"
    path.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return path


def headline(results: dict[str, Any]) -> str:
    """Return the scores of a test that people look at first, in one line."""
    known = [(name, results[f"test/{name}"]) for name in HEADLINE if f"test/{name}" in results]
    scores = ", ".join(f"{name} {score:.3f}" for name, score in known)
    return f"Test: {scores}" if scores else "Results"


def report(folder: Path, trainer: L.Trainer, results: dict[str, Any], chosen: Any) -> None:
    """Write the results of a training run, and tell its loggers what it ended with."""
    if trainer.is_global_zero:
        log.info("%s in %s", headline(results), write_results(folder, results))
        log_hyperparameters(trainer, chosen, results)


def log_hyperparameters(
    trainer: L.Trainer, chosen: dict[str, Any], results: dict[str, Any]
) -> None:
    """Give TensorBoard's HPARAMS tab one row, and every logger the metrics that the run ended with.

    Without a description of the experiment the tab takes its columns from all runs together; with
    one in each run it would take those of an arbitrary run, and lose what others chose.
    """
    stages = ("val/", "test/")
    final = {name: value for name, value in results.items() if name.startswith(stages)}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            _, begun, ended = hparams(chosen, {})
            for summary in (begun, ended):
                logger.experiment._get_file_writer().add_summary(summary)
        if not isinstance(logger, CSVLogger):  # a file of curves, with results.json beside it
            logger.log_metrics(final, trainer.global_step)
