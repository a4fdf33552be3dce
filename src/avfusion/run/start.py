"""The checkpoint that a training starts from."""

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from avfusion.checkpoint import find_checkpoint, read_checkpoint


class Start(NamedTuple):
    """A checkpoint as it was read, once: of a run that ``goes_on``, or of a run's first weights."""

    file: Path
    checkpoint: dict[str, Any]
    goes_on: bool

    @property
    def recipe(self) -> dict[str, Any]:
        """What rebuilds the task of the checkpoint, and what that was trained on."""
        return self.checkpoint["recipe"]


def read_start(cfg: DictConfig) -> Start | None:
    """Read the checkpoint that a configuration names, None where it names none.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: where it is no checkpoint of this project, or two are named.
    """
    if cfg.ckpt_path is not None and cfg.init_from is not None:
        raise ValueError("ckpt_path goes on with a run, init_from starts a new one: give only one.")
    for path, name in ((cfg.ckpt_path, "last"), (cfg.init_from, "best")):
        if path is not None:
            file = find_checkpoint(path, name)
            return Start(file, read_checkpoint(file), goes_on=name == "last")
    return None
