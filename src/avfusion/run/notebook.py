"""An experiment inside this process, as a notebook has it: nothing is written but data."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

import avfusion.run.warning_filters  # noqa: F401  its import is its effect
from avfusion.corpora.unlabeled import find_recordings
from avfusion.data.checks import check_splits
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.evaluation.inference import Answer, answer_recordings, collect_answers
from avfusion.features import prediction_features
from avfusion.run.build import build_data
from avfusion.run.checks import check_task
from avfusion.run.configuration import with_description
from avfusion.run.restore import make_task
from avfusion.training.task import FusionTask

CONF = Path(__file__).parents[3] / "conf"


def configuration(*overrides: str, program: str = "train") -> DictConfig:
    """Return what the command line would give a program for these overrides."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(program, list(overrides))


def build(cfg: DictConfig) -> tuple[FusionTask, FaceAudioDataModule]:
    """Return an untrained task and its data, which is made first where it can be."""
    data = build_data(cfg)
    L.seed_everything(cfg.seed, verbose=False)
    task = make_task(with_description(cfg, data.description).model, data.target)
    check_task(task)
    return task, data


def train(task: FusionTask, data: FaceAudioDataModule, epochs: int) -> dict[str, float]:
    """Train on the CPU and return the metrics of the last epoch."""
    trainer = silent_trainer(max_epochs=epochs)
    trainer.fit(task, datamodule=data)
    return {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}


def answers(task: FusionTask, data: FaceAudioDataModule, split: str) -> Sequence[Answer]:
    """Return the answer for each clip of a split."""
    check_splits(data.splits, split)
    batches = silent_trainer().predict(task, datamodule=data.reading(split))
    return collect_answers(data.store, batches or [])


def answers_for(
    recordings: str,
    task: FusionTask,
    data: FaceAudioDataModule,
    stores: Path | None = None,
) -> Sequence[Answer]:
    """Return the answer for each of some recordings (see ``find_recordings``), prepared as data.

    Nothing is written, so ``stores`` is not needed any more. What many recordings of unknown
    origin are answered by is ``src/predict.py``: there a decoder that crashes ends only itself.

    Raises:
        ValueError: where the network reads what an encoder computed, or no recording can be used.
    """
    if data.encoders:
        raise ValueError(
            f"This network reads {' and '.join(data.encoders)}, which an encoder computes of a "
            "store: answer with src/predict.py."
        )
    features = prediction_features(data.description["features"])
    return answer_recordings(find_recordings(recordings), features, task, data.batch_size)


def silent_trainer(max_epochs: int = 1) -> L.Trainer:
    """Return a trainer on the CPU that neither prints nor writes."""
    return L.Trainer(
        max_epochs=max_epochs,
        accelerator="cpu",
        devices=1,
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
