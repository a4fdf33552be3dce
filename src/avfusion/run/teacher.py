"""Teacher of a training, whose predictions a network learns (``distill_from``)."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from avfusion.checkpoint import find_checkpoint, read_checkpoint
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.configuration import to_plain
from avfusion.run.restore import check_same_features, restore_task
from avfusion.run.start import StartCheckpoint
from avfusion.run.streams import find_streams
from avfusion.training.remedies import Distillation


def read_teacher(cfg: DictConfig) -> StartCheckpoint | None:
    """Read the checkpoint that ``distill_from`` names, None where it names none.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file is no checkpoint of this project, or distillation names none.
    """
    if cfg.distill_from is None:
        choices = HydraConfig.get().runtime.choices if HydraConfig.initialized() else {}
        if "distillation" in str(choices.get("remedy")):
            raise ValueError("remedy=distillation needs a teacher: give distill_from=<run>.")
        return None
    file = find_checkpoint(cfg.distill_from, "best")
    return StartCheckpoint(file, read_checkpoint(file), resumes=False)


def list_streams(teacher: StartCheckpoint | None) -> list[str]:
    """List the streams that a teacher reads, if there is one."""
    return [] if teacher is None else find_streams(teacher.recipe["model"])


def describe_distillation(
    cfg: DictConfig, teacher: StartCheckpoint | None
) -> dict[str, Any] | None:
    """Describe what is learned of which teacher, in plain containers."""
    if teacher is None:
        return None
    options: Mapping[str, Any] = to_plain(cfg.distillation)
    digest = hashlib.sha256(teacher.file.read_bytes()).hexdigest()
    return {name: options[name] for name in ("temperature", "weight")} | {"teacher": digest}


def build_distillation(
    cfg: DictConfig, teacher: StartCheckpoint, data: FaceAudioDataModule
) -> Distillation:
    """Build the distillation from a teacher that knows the same classes from the same features."""
    check_classes(teacher.file, teacher.recipe["description"], data)
    check_same_features(
        teacher.file, data, teacher.recipe["description"], find_streams(teacher.recipe["model"])
    )
    network = restore_task(teacher.file, teacher.checkpoint).network
    return instantiate(cfg.distillation, _convert_="all")(network, data.target)


def check_classes(file: Path, description: Mapping[str, Any], data: FaceAudioDataModule) -> None:
    """Refuse a teacher whose outputs are others than those of a target."""
    theirs, ours = description["output_names"], data.target.output_names
    if (description["labels"], theirs) != (data.target.kind, ours):
        raise ValueError(
            f"distill_from={file} answers with {', '.join(theirs)} ({description['labels']}), and "
            f"the clips of {data.path} have {', '.join(ours)} ({data.target.kind}): distill from a "
            "run that was trained on the same classes, in the same order."
        )
