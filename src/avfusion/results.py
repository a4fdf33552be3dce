"""What a run leaves for people and programs to read."""

import csv
import json
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.task import ClassificationTask


def write_results(
    folder: Path, trainer: L.Trainer, task: ClassificationTask, data: FaceAudioDataModule
) -> Path:
    """Write the metrics of a test, and what has to be known about them, as flat JSON."""
    scores = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    results = {
        **scores,
        "parameters": sum(parameter.numel() for parameter in task.network.parameters()),
        "epochs": trainer.current_epoch,
        "data/corpus": data.description["corpus"],
        "data/store": str(data.path),
        "data/split": data.eval_split,
        "data/shared_subjects": len(data.description["shared_subjects"]),
    }
    path = folder / "results.json"
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return path


def write_predictions(folder: Path, data: FaceAudioDataModule, batches: list[Any]) -> Path:
    """Write clip id, true label, predicted class and the probability of each class as CSV."""
    index, names = data.store.index, data.names
    path = folder / "predictions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "label", "predicted", *names])
        for rows, probabilities in batches:
            for row, row_probabilities in zip(rows.tolist(), probabilities, strict=True):
                clip = index[row]
                predicted = names[int(row_probabilities.argmax())]
                numbers = [f"{value:.6f}" for value in row_probabilities.tolist()]
                writer.writerow([clip["clip_id"], clip["label"], predicted, *numbers])
    return path


def log_hyperparameters(trainer: L.Trainer, chosen: dict[str, Any]) -> None:
    """Give TensorBoard's HPARAMS tab one row: what was chosen, and the metrics it ended with."""
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    final = {name: value for name, value in scores.items() if name.startswith(("val/", "test/"))}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(chosen, final)


def flat(config: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the single values of a configuration under dotted names."""
    values: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            values |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, str | int | float) and not key.startswith("_"):
            values[f"{prefix}{key}"] = value
    return values
