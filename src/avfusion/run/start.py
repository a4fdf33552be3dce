"""Checkpoint that a training starts from."""

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from avfusion.checkpoint import find_checkpoint, read_checkpoint


class StartCheckpoint(NamedTuple):
    """A checkpoint, read once: of the run that ``resumes``, or of the initial weights of a run."""

    file: Path
    checkpoint: dict[str, Any]
    resumes: bool

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe of the checkpoint (see ``avfusion.checkpoint.Recipe``)."""
        return self.checkpoint["recipe"]


def read_start_checkpoint(cfg: DictConfig) -> StartCheckpoint | None:
    """Read the checkpoint that ``ckpt_path`` or ``init_from`` names, None where neither does.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file is no checkpoint of this project, or both are given.
    """
    if cfg.ckpt_path is not None and cfg.init_from is not None:
        raise ValueError("ckpt_path resumes a run, init_from starts a new one: give only one.")

    for path, name in ((cfg.ckpt_path, "last"), (cfg.init_from, "best")):
        if path is not None:
            file = find_checkpoint(path, name)
            return StartCheckpoint(file, read_checkpoint(file), resumes=name == "last")
    return None
