"""Loggers: built of what was chosen, and told what was chosen."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import Logger, TensorBoardLogger


class CurvesLogger(TensorBoardLogger):
    """TensorBoard without Lightning's curve ``epoch``, which would open the SCALARS tab.

    It is ``train/epoch``, among the curves of training.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers under their names, but for that one."""
        renamed = {"train/epoch" if k == "epoch" else k: value for k, value in metrics.items()}
        super().log_metrics(renamed, step)


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
    """Tell loggers which hyperparameters were chosen, as training begins.

    Those of files keep them in ``hparams.yaml``. TensorBoard's row of the HPARAMS tab is written
    once the run has ended.
    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.hparams.update(chosen)
            write_hparams_yaml(logger, chosen)
        else:
            logger.log_hyperparams(chosen)


@rank_zero_only
def write_hparams_yaml(logger: TensorBoardLogger, chosen: dict[str, Any]) -> None:
    """Write the file that Lightning writes at the end, but only where there is none.

    A run that is continued may have other hyperparameters than those of its first part.
    """
    folder = Path(logger.log_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_hparams_to_yaml(folder / logger.NAME_HPARAMS_FILE, chosen)
