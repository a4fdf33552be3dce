"""Loggers: built of what was chosen, and told what was chosen."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger


def build_loggers(cfg: Mapping[Any, Any] | None) -> list[Logger]:
    """Build the loggers that were chosen, or say what has to be installed for one of them."""
    loggers = []
    for name, chosen in (cfg or {}).items():
        try:
            logger = instantiate(chosen)
        except InstantiationException as error:
            if not isinstance(error.__cause__, ModuleNotFoundError):
                raise
            raise ValueError(  # extras are called as the loggers are
                f"logger={name} needs a package that is not installed: pip install -e '.[{name}]', "
                f"or leave it out with logger.{name}=null."
            ) from error
        if logger:
            loggers.append(logger)
    return loggers


def log_choices(trainer: L.Trainer, chosen: dict[str, Any]) -> None:
    """Tell loggers what was chosen, as training begins.

    TensorBoard's row is written once the run has ended, and beside CSV lies a config.yaml.
    """
    for logger in trainer.loggers:
        if not isinstance(logger, TensorBoardLogger | CSVLogger):
            logger.log_hyperparams(chosen)
