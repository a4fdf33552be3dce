"""Experiments from Python, such as in a notebook; nothing is written but stores.

``load`` and ``predict`` use a trained network; ``compose_config``, ``build`` and ``train`` train
one.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import lightning as L
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor

import avfusion.run.warning_filters  # noqa: F401  imported for its effect
from avfusion.checkpoint import find_checkpoint, get_stream_encoders, read_checkpoint
from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.checks import check_splits
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.evaluation.inference import ClipPrediction, collect_predictions, predict_recordings
from avfusion.features.clip import MODALITIES
from avfusion.files import read_csv
from avfusion.preparation.prepare import prepare
from avfusion.run.build import build_data, make_recipe
from avfusion.run.checks import check_task
from avfusion.run.configuration import with_description
from avfusion.run.make import make_task
from avfusion.run.restore import build_recording_features, find_encoders, restore_task
from avfusion.run.shorthands import expand_shorthands
from avfusion.run.streams import drop_unread_encoder, find_streams
from avfusion.run.teacher import build_distillation, read_teacher
from avfusion.training.task import FusionTask

log = logging.getLogger(__name__)
CONF = Path(__file__).parents[3] / "conf"


class Loaded(NamedTuple):
    """A trained task in evaluation mode, and the description of the data it was trained on."""

    task: FusionTask
    description: Mapping[str, Any]


def load(run: str | Path) -> Loaded:
    """Load the trained task of a run, on the CPU and in evaluation mode, with its description.

    >>> task, description = avfusion.load("logs/lowrank/2026-01-31_12-00-00-000000")

    Args:
        run: The folder of a run, whose best checkpoint is taken, or a checkpoint.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file is no checkpoint of this project.
    """
    file = find_checkpoint(str(run), "best")
    checkpoint = read_checkpoint(file)
    task = restore_task(file, checkpoint)
    return Loaded(task.eval(), checkpoint["recipe"]["description"])


def predict(run: str | Path, files: str | Path) -> list[ClipPrediction]:
    """Predict for recordings with the trained network of a run.

    >>> run = "logs/lowrank/2026-01-31_12-00-00-000000"
    >>> for prediction in avfusion.predict(run, "talks/*.mp4"):
    ...     print(prediction.clip.clip_id, prediction.values)

    Recordings are prepared as in training; those that cannot be used are logged. Streams of
    encoders are computed in a temporary store. Without any, a decoder that crashes ends this
    process; with ``src/predict.py``, it ends only itself.

    Args:
        run: The folder of a run, whose best checkpoint is taken, or a checkpoint.
        files: A video, a picture or a sound; ``picture + sound``; a folder, a pattern, or a
            ``.txt`` of those, one per line.

    Raises:
        FileNotFoundError: There is no such checkpoint, no recording, or no encoder of a stream that
            the network reads.
        ValueError: No recording can be used, or they lack what the network reads.
    """
    file = find_checkpoint(str(run), "best")
    checkpoint = read_checkpoint(file)
    recipe = checkpoint["recipe"]
    return _predict(
        files,
        restore_task(file, checkpoint).eval(),
        recipe["description"],
        find_streams(recipe["model"]),
        recipe["data"].get("batch_size", 32),
        get_stream_encoders(checkpoint),
    )


def predict_files(
    files: str | Path, task: FusionTask, data: FaceAudioDataModule
) -> list[ClipPrediction]:
    """Predict for recordings, as ``predict`` does, with a task and the data that it was trained on.

    Raises:
        FileNotFoundError: There is no recording, or no encoder of a stream that the network reads.
        ValueError: No recording can be used, or they lack what the network reads.
    """
    streams = data.network_streams
    return _predict(files, task, data.description, streams, data.batch_size, data.encoders)


def _predict(
    files: str | Path,
    task: FusionTask,
    description: Mapping[str, Any],
    streams: Sequence[str],
    batch_size: int,
    states: Mapping[str, Mapping[str, Tensor]],
) -> list[ClipPrediction]:
    encoders = find_encoders(description, streams, states)
    features = build_recording_features(description, streams, encoders)
    recordings = find_recordings(str(files))
    if not encoders:
        read = {description["streams"][name]["modality"] for name in streams}
        modalities = [modality for modality in MODALITIES if modality in read]
        return predict_recordings(recordings, features, task, batch_size, modalities)

    corpus = UnlabeledRecordings(recordings, description["output_names"], description["labels"])
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        store = prepare(corpus, features, folder)
        for row in read_csv(store / "report.csv"):
            if row["outcome"] != "kept":
                log.warning("%s cannot be used: %s.", row["clip_id"], row["reason"])
        data = FaceAudioDataModule(
            str(store), target=lambda _: task.target, batch_size=batch_size, streams=streams
        )
        return predict_split(task, data, "test")


def compose_config(*overrides: str, program: str = "train") -> DictConfig:
    """Compose the configuration that the command line would give a program for these overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(program, expand_shorthands(overrides))
    if program == "train":
        drop_unread_encoder(cfg)
    return cfg


def build(cfg: DictConfig) -> tuple[FusionTask, FaceAudioDataModule]:
    """Build an untrained task and its data, whose store is prepared where necessary."""
    teacher = read_teacher(cfg)
    data = build_data(cfg, teacher=teacher)
    cfg = with_description(cfg, data.description)
    distillation = None if teacher is None else build_distillation(cfg, teacher, data)
    L.seed_everything(cfg.seed, verbose=False)
    recipe = make_recipe(cfg, data, None, teacher)
    task = make_task(cfg.model, data.target, recipe, distillation)
    check_task(task)
    return task, data


def train(task: FusionTask, data: FaceAudioDataModule, epochs: int) -> dict[str, float]:
    """Train on the CPU; the result holds the metrics of the last epoch by name."""
    clip = 1.0 if task.automatic_optimization else None  # other tasks do it themselves
    trainer = _silent_trainer(max_epochs=epochs, gradient_clip_val=clip)
    trainer.fit(task, datamodule=data)
    return {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}


def predict_split(task: FusionTask, data: FaceAudioDataModule, split: str) -> list[ClipPrediction]:
    """Predict for each clip of a split (train, val or test), in the order of the store."""
    check_splits(data.splits, split)
    batches = _silent_trainer().predict(task, datamodule=data.reading(split))
    return collect_predictions(data, batches or [], task.network)


def _silent_trainer(**options: Any) -> L.Trainer:
    """A trainer on the CPU that neither prints nor writes."""
    return L.Trainer(
        **options,
        accelerator="cpu",
        devices=1,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
