"""Loggers of a training: built from the configuration, and given its hyperparameters."""

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
    """TensorBoard logger that calls Lightning's curve ``epoch`` ``train/epoch``.

    Under its own name it would open the SCALARS tab, before the curves of training.
    """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers under their names, except for the epoch."""
        renamed = {"train/epoch" if k == "epoch" else k: value for k, value in metrics.items()}
        super().log_metrics(renamed, step)


def build_loggers(cfg: Mapping[Any, Any] | None) -> list[Logger]:
    """Build the chosen loggers.

    Raises:
        ValueError: One of them needs a package that is not installed.
    """
    loggers = []
    for name, chosen in (cfg or {}).items():
        try:
            logger = instantiate(chosen)
        except InstantiationException as error:
            if not isinstance(error.__cause__, ModuleNotFoundError):
                raise
            raise ValueError(  # extras have the names of the loggers
                f"logger={name} needs a package that is not installed: pip install -e '.[{name}]', "
                f"or leave it out with logger.{name}=null."
            ) from error
        if logger:
            loggers.append(logger)

    return loggers


def log_hyperparameters(trainer: L.Trainer, hyperparameters: dict[str, Any]) -> None:
    """Log the hyperparameters as training begins.

    Loggers that write files keep them in ``hparams.yaml``. TensorBoard's row of the HPARAMS tab is
    written once the run has ended, see ``avfusion.run.results.log_final_results``.
    """
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.hparams.update(hyperparameters)
            _write_hparams_yaml(logger, hyperparameters)
        else:
            logger.log_hyperparams(hyperparameters)


@rank_zero_only
def _write_hparams_yaml(logger: TensorBoardLogger, hyperparameters: dict[str, Any]) -> None:
    """Write the file that Lightning writes at the end, but only where there is none.

    A run that is resumed may have other hyperparameters than those of its first part.
    """
    folder = Path(logger.log_dir)
    folder.mkdir(parents=True, exist_ok=True)
    save_hparams_to_yaml(folder / logger.NAME_HPARAMS_FILE, hyperparameters)
