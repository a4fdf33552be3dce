"""Checks of a configuration and of the machine, before any long work."""

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from pydoc import locate
from typing import Any

import lightning as L
import torch
from hydra.utils import instantiate
from lightning.pytorch.accelerators import CPUAccelerator
from omegaconf import DictConfig, OmegaConf

from avfusion.checkpoint import check_targets
from avfusion.data.balance import find_balanced
from avfusion.features import Features
from avfusion.features.streams import find_missing_weights
from avfusion.run.configuration import check_config, to_plain, with_description
from avfusion.run.make import make_task
from avfusion.run.streams import find_streams
from avfusion.run.values import find_argument_types
from avfusion.targets import TARGETS, Target, check_kind, choose_target, name_loss
from avfusion.threads import count_allowed_cores
from avfusion.training.metrics.stages import check_monitor
from avfusion.training.task import FusionTask

DRAFT_STREAM = {
    "shape": [1, 3, 1, 1],
    "mean": [0.0] * 3,
    "std": [1.0] * 3,
}  # in place of any stream


def check_training(cfg: DictConfig) -> None:
    """Refuse a training that cannot succeed, whatever its data.

    Raises:
        ValueError: With the key, the value and the fix.
    """
    check_config(cfg)
    if not 0 <= cfg.seed < 2**32:
        raise ValueError(f"seed must be a whole number from 0 to 2**32 - 1, got {cfg.seed}.")

    every, epochs = cfg.trainer.get("check_val_every_n_epoch") or 1, cfg.trainer.max_epochs
    if epochs is None:
        raise ValueError("trainer.max_epochs must be a whole number, got null: a run must end.")
    if every > epochs:
        raise ValueError(
            f"trainer.check_val_every_n_epoch={every} is more than trainer.max_epochs={epochs}: no "
            f"epoch would have {cfg.monitor}."
        )
    if cfg.trainer.get("max_steps") == 0:
        raise ValueError("trainer.max_steps must be at least 1, or -1 for no limit, got 0.")

    for stage in ("train", "val"):
        if cfg.trainer.get(f"limit_{stage}_batches") == 0:
            raise ValueError(f"trainer.limit_{stage}_batches must be above 0, got 0.")

    for key, monitor, mode in iterate_monitors(cfg):
        check_monitor(monitor, mode, key=key)
    if "class" in find_balanced(cfg.data.get("balance")):
        if cfg.loss.get("weights") == "balanced":
            raise ValueError(
                f"data.balance={cfg.data.balance} and loss.weights=balanced would balance the "
                "classes twice: leave one of them at null."
            )
    check_targets(Path("this run"), to_plain(cfg.data))


def iterate_monitors(cfg: DictConfig) -> Iterator[tuple[str, str, str]]:
    """Yield the key of each monitor, its metric and its mode."""
    yield "monitor", cfg.monitor, cfg.mode
    for name, callback in cfg.callbacks.items():
        if callback and callback.get("monitor"):
            default = (
                "min" if "mode" in find_argument_types(callback._target_) else cfg.mode
            )  # Lightning's
            yield f"callbacks.{name}.monitor", callback.monitor, callback.get("mode", default)


def check_model(cfg: DictConfig) -> None:
    """Build a draft of the model, whose parts refuse wrong values, before the data is prepared.

    The data is not known yet: it is assumed to have as many classes as weights are given.
    """
    weights = OmegaConf.select(cfg, "loss.weights")
    classes = len(weights) if OmegaConf.is_list(weights) and len(weights) > 1 else 2
    description = {
        "output_names": [str(number) for number in range(classes)],
        "class_counts": [1] * classes,
        "clips": {"train": classes},
        "streams": dict.fromkeys(find_streams(cfg.model), DRAFT_STREAM),
    }
    target = draft_target(cfg, description)
    draft = with_description(cfg, description | {"outputs": target.outputs})
    with warnings.catch_warnings(action="ignore"):  # of torch about empty weights
        task = make_task(draft.model, target)
    check_task(task)


def check_task(task: FusionTask) -> None:
    """Refuse empty weights, and arguments that optimizer and schedule do not take."""
    for name, weight in task.named_parameters():
        if not weight.numel():
            part = name.rpartition(".")[0]
            raise ValueError(
                f"model.{part} would have weights of shape {tuple(weight.shape)}: set every width "
                "of the model to at least 1."
            )
    task.build_optimizer(steps=100)


def draft_target(cfg: DictConfig, description: dict[str, Any]) -> Target:
    """Build the given target or, without one, the target for the labels of the corpus.

    Where labels are not known before they are read, it is the first target that the loss fits.
    """
    corpus = locate(str(OmegaConf.select(cfg, "data.corpus._target_")))
    labels = getattr(corpus, "labels", None)  # known without reading
    if cfg.target is not None:
        target = instantiate(cfg.target, _convert_="all")(description)
        if labels is not None:
            check_kind(target, labels, getattr(corpus, "name", corpus))
        return target

    loss = locate(str(cfg.loss._target_))
    name = name_loss(loss) if isinstance(loss, type) else None
    fitting = [kind for kind, target in TARGETS.items() if name in target.losses]
    return choose_target(description | {"labels": labels or (fitting or list(TARGETS))[0]})


def check_weights(features: Features, choices: Mapping[str, Any]) -> None:
    """Refuse encoders that are not on this machine before the first clip is decoded.

    ``choices`` are those of the groups of the configuration, as Hydra records them.
    """
    missing = find_missing_weights(features.encoders)
    if missing:
        cure = "." if choices.get("streams") == "decoded" else "; streams=decoded goes without."
        raise FileNotFoundError("; ".join(missing) + cure)


def check_numbered_devices(cfg: DictConfig) -> None:
    """Refuse device numbers where the CPU is the only device."""
    devices, accelerator = cfg.trainer.devices, cfg.trainer.accelerator
    cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())
    numbered = OmegaConf.is_list(devices) or (isinstance(devices, str) and "," in devices)
    if cpu and numbered:
        raise ValueError(
            f"trainer.devices={devices} lists device numbers, which a CPU does not have: give a "
            "number of processes, such as trainer.devices=1."
        )


def check_devices(trainer: L.Trainer) -> None:
    """Refuse more processes on the CPU than it has cores."""
    cores = count_allowed_cores()
    if isinstance(trainer.accelerator, CPUAccelerator) and trainer.num_devices > cores:
        raise ValueError(
            f"trainer.devices={trainer.num_devices} is more than the {cores} cores of this CPU: "
            f"set trainer.devices={cores} or less."
        )
