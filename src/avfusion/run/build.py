"""Trainer, data and task of a training, built from its configuration."""

import copy
import logging
import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.callbacks import LearningRateMonitor, ProgressBar, WeightAveraging
from lightning.pytorch.strategies import DDPStrategy
from omegaconf import DictConfig, OmegaConf

import avfusion.run.warning_filters  # noqa: F401  imported for its effect
from avfusion.callbacks.checkpoints import check_same_monitor
from avfusion.checkpoint import Recipe, check_same_recipe, check_targets, load_matching_weights
from avfusion.data.checks import check_batch, check_splits
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.train_test_overlap import check_overlap, digest_training_clips, merge_digests
from avfusion.features.identity import get_name
from avfusion.memory import keep_freed_memory
from avfusion.run.checks import (
    check_devices,
    check_model,
    check_numbered_devices,
    check_task,
    check_weights,
    iterate_monitors,
)
from avfusion.run.configuration import output_folder, to_plain
from avfusion.run.loggers import build_loggers
from avfusion.run.make import make_data, make_task
from avfusion.run.provenance import write_provenance
from avfusion.run.restore import list_allowed_overlap
from avfusion.run.start import StartCheckpoint
from avfusion.run.streams import check_encoders
from avfusion.run.teacher import build_distillation, describe_distillation, list_streams
from avfusion.threads import log_threads, share_threads
from avfusion.training.checkpoint_io import AtomicCheckpointIO
from avfusion.training.metrics.stages import check_monitor
from avfusion.training.task import FusionTask

log = logging.getLogger(__name__)


def build_trainer(cfg: DictConfig) -> L.Trainer:
    """Build the trainer with its callbacks and loggers.

    Raises:
        ValueError: Lightning refuses what is configured, or this machine lacks the devices.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") == "" or cfg.trainer.accelerator == "cpu"
    if not (torch.cuda.is_available() or hidden) and shutil.which("nvidia-smi"):
        log.warning(
            "This machine has an NVIDIA GPU that torch cannot use (torch %s): compare its CUDA "
            "version with the driver's in nvidia-smi. Training on the CPU.",
            torch.__version__,
        )
    check_numbered_devices(cfg)
    keep_freed_memory()

    loggers = build_loggers(cfg.get("logger"))
    useless: tuple[type, ...] = () if loggers else (LearningRateMonitor,)
    if not cfg.trainer.get("enable_progress_bar", True):
        useless = (*useless, ProgressBar)
    callbacks = [callback for callback in instantiate(cfg.callbacks).values() if callback]
    callbacks = [callback for callback in callbacks if not isinstance(callback, useless)]
    # Averages of weights are updated after a step before any other callback saves them.
    callbacks.sort(key=lambda callback: not isinstance(callback, WeightAveraging))

    try:
        trainer = instantiate(
            cfg.trainer, callbacks=callbacks, logger=loggers or False, **pop_task_settings(cfg)
        )
    except InstantiationException as error:  # Lightning seldom names what to change
        keys = ("accelerator", "devices", "strategy", "precision")
        given = ", ".join(f"trainer.{key}={cfg.trainer[key]}" for key in keys)
        raise ValueError(
            f"{error.__cause__ or error} (given {given}; trainer=cpu runs everywhere)"
        ) from error

    check_devices(trainer)
    share_threads(trainer.num_devices)
    if trainer.is_global_zero:
        log_threads()
    count_whole_epochs(trainer)
    return trainer


def pop_task_settings(cfg: DictConfig) -> dict[str, Any]:
    """Take from the Trainer what a task with two optimizers does by itself.

    Lightning refuses to clip and to accumulate gradients of more than one optimizer; the model
    refers to the same keys of the configuration.
    """
    unset = {"gradient_clip_val": None, "accumulate_grad_batches": 1}
    return {key: value for key, value in unset.items() if key in (cfg.get("model") or {})}


def count_whole_epochs(trainer: L.Trainer) -> None:
    """Let a training with ``max_steps`` resume after an epoch as one without.

    Lightning takes every checkpoint of it for one within an epoch: it would report the finished
    epoch again, count it twice, and read another order of the clips than without interruption.
    """
    loop: Any = trainer.fit_loop
    loop._iteration_based_training = lambda: False  # private, and used for nothing else


def build_data(
    cfg: DictConfig, device: str = "auto", teacher: StartCheckpoint | None = None
) -> FaceAudioDataModule:
    """Build the data module, and prepare its store where that is possible and necessary.

    ``device`` computes streams, if there are any. Before preparation, which may take hours, a
    draft of the model refuses values that its parts do not take. Where the store exists, the model
    itself does, and no draft is built. Clips have what a ``teacher`` reads, too.
    """
    data = make_data(cfg.data, cfg.model, list_streams(teacher), device=device)
    if not data.is_made:
        check_model(cfg)
        features = data.preparation.features if data.preparation else data.features
        if features is not None:
            choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
            check_weights(features, choices)

    data.prepare_data()
    check_encoders(cfg.model, data.store.streams)
    return data


def build_task(
    cfg: DictConfig,
    data: FaceAudioDataModule,
    start: StartCheckpoint | None = None,
    teacher: StartCheckpoint | None = None,
) -> FusionTask:
    """Build the task for the description of the data, with the weights that training starts from.

    A ``teacher`` is what it distills from.

    The checkpoint of a training that resumes is only checked here: Lightning restores it.

    Raises:
        ValueError: Data, monitors or the checkpoint do not fit the task.
    """
    check_splits(data.splits, "train", "val", data.eval_split)
    check_batch(data.splits, data.batch_size)
    recipe = make_recipe(cfg, data, start, teacher)
    check_targets(Path("this run"), recipe.plain())  # before a checkpoint that nothing reads
    if start is not None and start.resumes:
        check_same_recipe(start.file, start.checkpoint, recipe)
        check_resumable(start, cfg)

    distillation = None if teacher is None else build_distillation(cfg, teacher, data)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    task = make_task(cfg.model, data.target, recipe, distillation)
    check_task(task)
    has_attention_hit = hasattr(task.network, "face_encoder") and data.description["boxes"]
    for key, monitor, mode in iterate_monitors(cfg):
        check_monitor(monitor, mode, data.target, has_attention_hit, key)
        check_monitored_class(monitor, data, cfg.trainer, key)
    check_validation_interval(cfg.trainer, data)

    if start is not None and not start.resumes:
        log.info(load_matching_weights(start.file, start.checkpoint, task, recipe))
        if start.recipe["description"]["features"] != data.description["features"]:
            log.warning("%s was trained on other features than those of %s.", start.file, data.path)
    return task


def make_recipe(
    cfg: DictConfig,
    data: FaceAudioDataModule,
    start: StartCheckpoint | None,
    teacher: StartCheckpoint | None = None,
) -> Recipe:
    """Make the recipe that the checkpoints of this training will hold."""
    # Only these: trainer and callbacks name the folder of the run, which a notebook has none of.
    model, description = to_plain(cfg.model), to_plain(cfg.description)
    model |= {"optimizer": None, "scheduler": None}  # restoring needs neither
    for key in ("gradient_clip_val", "accumulate_grad_batches"):  # those of the trainer
        model.pop(key, None)
    face_encoder = model["network"].get("face_encoder") or {}
    if "pretrained" in face_encoder:
        face_encoder["pretrained"] = "none"  # the checkpoint holds its weights, too
    audio_encoder = model["network"].get("audio_encoder") or {}
    if "architecture" in audio_encoder:
        audio_encoder |= instantiate(audio_encoder).reference()  # to weights that it does not hold

    automatic = {
        "_target_": get_name(type(data.target)),
        "_partial_": True,
    }  # chosen by the labels
    digests = digest_training_clips(data.store, data.splits.where("train"))
    for other in (start, teacher):
        if other is not None:
            digests = merge_digests(digests, other.recipe.get("trained_on") or {})

    return Recipe(
        model=model,
        target=automatic if cfg.target is None else to_plain(cfg.target),
        data=to_plain(cfg.data),
        description=description,
        seed=cfg.seed,
        trained_on=digests,
        distillation=describe_distillation(cfg, teacher),
    )


def find_training_overlap(
    cfg: DictConfig,
    data: FaceAudioDataModule,
    start: StartCheckpoint | None,
    teacher: StartCheckpoint | None = None,
) -> Mapping[str, list[str]]:
    """Find subjects and clips of validation and test that initial weights or teacher have seen."""
    tested, allowed = ("val", data.eval_split), list_allowed_overlap(cfg)
    found: dict[str, list[str]] = {}
    for other in (start, teacher):
        if other is None or other.resumes:
            continue
        seen = check_overlap(other.file, other.recipe, data.store, data.splits, tested, allowed)
        found |= {name: sorted({*found.get(name, ()), *each}) for name, each in seen.items()}

    return found


def check_validation_interval(trainer: DictConfig, data: FaceAudioDataModule) -> None:
    """Refuse to validate after more batches than there are."""
    every = trainer.get("val_check_interval")
    if not isinstance(every, int):
        return

    processes = trainer.devices if isinstance(trainer.devices, int) else 1
    batches = math.ceil(len(data.splits.rows("train")) // max(processes, 1) / data.batch_size)
    limit = trainer.get("limit_train_batches")
    limit = 1.0 if limit is None else limit
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)

    over_epochs = trainer.check_val_every_n_epoch is None
    total = batches * (trainer.max_epochs if over_epochs else 1)
    if every > total:
        whole = "the run" if over_epochs else "an epoch"
        hint = (
            "."
            if over_epochs
            else "; trainer.check_val_every_n_epoch=null counts batches over epochs."
        )
        raise ValueError(
            f"trainer.val_check_interval={every} is more than the {total} batches of {whole}: set "
            f"at most that many, or a fraction of an epoch, such as 0.5{hint}"
        )


def check_monitored_class(
    monitor: str, data: FaceAudioDataModule, trainer: DictConfig, key: str
) -> None:
    """Refuse to monitor a class of which validation, or training, has no clip."""
    stage, _, metric = monitor.partition("/")
    target = data.target
    scored = ((score, name) for score in target.class_scores for name in target.output_names)
    classes = [name for score, name in scored if metric == f"{score}_{name}"]
    if not classes:
        return

    label = classes[0]
    labels = data.dataset(stage).labels[data.splits.rows(stage)]
    limit = trainer.get(f"limit_{stage}_batches")
    if stage == "val" and limit is not None:
        batches = math.ceil(len(labels) / data.batch_size)
        read = limit if isinstance(limit, int) else int(batches * limit)
        devices = trainer.get("devices")
        if isinstance(limit, float) or isinstance(devices, int):  # a number counts per process
            processes = devices if isinstance(limit, int) else 1
            labels = labels[: read * data.batch_size * processes]

    indicators = target.indicators(torch.from_numpy(labels))[:, target.output_names.index(label)]
    if not (indicators == 1).any():
        raise ValueError(
            f"{key}={monitor} is never measured: none of the {len(labels)} {stage} clips that are "
            f"read is labeled {label}. Choose another monitor, such as {stage}/{target.scores[0]}."
        )


def check_callbacks(trainer: L.Trainer, task: FusionTask, data: FaceAudioDataModule) -> None:
    """Let callbacks that check task and data refuse them before anything is written."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # a connector sets it
        if hasattr(callback, "check"):
            callback.check(task, data)


def allow_unused_parameters(
    trainer: L.Trainer, task: FusionTask, data: FaceAudioDataModule
) -> None:
    """Let DDP look for parameters without gradients where a network has some, and only there.

    DDP ends with an error in the second step otherwise; looking costs it a walk over the graph in
    every step. An option that the strategy was given stays.
    """
    strategy = trainer.strategy
    # _ddp_kwargs is private, and where the strategy keeps what it will hand to torch.
    if not isinstance(strategy, DDPStrategy) or "find_unused_parameters" in strategy._ddp_kwargs:
        return

    if not task.automatic_optimization:  # each of its passes leaves out a part
        strategy._ddp_kwargs["find_unused_parameters"] = True
    elif unused := find_parameters_without_gradient(task, data):
        strategy._ddp_kwargs["find_unused_parameters"] = True
        log.info(
            "%d tensors of the network get no gradient, the first is %s: DDP looks for them.",
            len(unused),
            unused[0],
        )


def find_parameters_without_gradient(task: FusionTask, data: FaceAudioDataModule) -> list[str]:
    """Name the parameters that get no gradient, found by one step of a copy of the task."""
    dataset = data.dataset("train")
    clips = dataset.__getitems__(list(range(min(2, len(dataset))))).with_floats()
    copied = copy.deepcopy(task)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        scores = copied(clips)
        loss = copied.label_loss(scores.logits, clips)
        copied.minimized_loss(loss, scores, clips).backward()

    named = copied.network.named_parameters()
    return [name for name, value in named if value.requires_grad and value.grad is None]


def pass_checkpoint(trainer: L.Trainer, start: StartCheckpoint | None) -> Path | None:
    """Pass the checkpoint that training resumes from to Lightning, which need not read it again.

    Returns:
        Its path; None where training does not resume.
    """
    if start is None or not start.resumes:
        return None

    io = trainer.strategy.checkpoint_io
    if isinstance(io, AtomicCheckpointIO):
        io.keep(start.file, start.checkpoint)
    return start.file


def check_resumable(start: StartCheckpoint, cfg: DictConfig) -> None:
    """Refuse checkpoints without all that a training needs to resume, or with another monitor."""
    position = start.checkpoint.get(FaceAudioDataModule.__qualname__)
    if "optimizer_states" not in start.checkpoint or position is None or "clips" not in position:
        raise ValueError(
            f"{start.file} holds weights only, or is of an earlier version: start a new run from "
            "its weights with init_from=..."
        )

    best = cfg.callbacks.get("checkpoint")
    if best:
        check_same_monitor(start.file, start.checkpoint, best.get("monitor"), best.get("mode"))


@rank_zero_only
def write_config_and_provenance(cfg: DictConfig) -> None:
    """Write config.yaml, and the provenance of code and machine, into the folder of this run."""
    (output_folder() / "config.yaml").write_text(
        OmegaConf.to_yaml(cfg, resolve=True), encoding="utf-8"
    )
    write_provenance(output_folder())


def find_best_score(
    trainer: L.Trainer, task: FusionTask, data: FaceAudioDataModule, monitor: str
) -> tuple[float, str | None]:
    """Find score and path of the best checkpoint; without one, the score of the last weights."""
    checkpoints = trainer.checkpoint_callback
    path = getattr(checkpoints, "best_model_path", None) or None
    score: Any = getattr(checkpoints, "best_model_score", None)
    if score is None and monitor not in trainer.callback_metrics:
        # Nothing was left to train and best.ckpt is lost, or no epoch has ended.
        trainer.validate(task, datamodule=data, ckpt_path=path, weights_only=True, verbose=False)

    if score is None:
        score = trainer.callback_metrics.get(monitor, math.nan)
    return float(score), path
