"""Progress bar of a training, or log lines with the remaining time where nobody looks on."""

import logging
from time import monotonic
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar

from avfusion.console import is_interactive
from avfusion.messages import format_duration
from avfusion.training.task import LOSS_OF_STEP

log = logging.getLogger(__name__)


class Progress(RichProgressBar):
    """Draw a bar where a person looks on, ten times a second; else log a line per validation."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10 if is_interactive() else 0)
        self.began = (0.0, 0)  # when, with which epoch

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        super().on_train_start(trainer, pl_module)
        self.began = (monotonic(), trainer.current_epoch)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the scores of an epoch where there is no bar."""
        super().on_validation_end(trainer, pl_module)
        if self.is_enabled or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        known, target = trainer.callback_metrics, getattr(pl_module, "target", None)
        shown = ["loss", *(target.scores[:1] if target else ()), "attention_hit"]
        named = [(name, known[name]) for name in (f"val/{one}" for one in shown) if name in known]
        scores = ", ".join(f"{name} {float(value):.3f}" for name, value in named)
        if trainer.is_global_zero:
            log.info("%s: %s", self.describe(trainer.current_epoch, ended=1), scores)

    def describe(self, epoch: int, ended: int) -> str:
        """Name an epoch that has ended or not, and say how long those after it take at most."""
        total = self.trainer.max_epochs or 0
        done = epoch + ended - self.began[1]
        left = total - epoch - ended
        name = f"Epoch {epoch + 1} of {total}"
        if done < 1 or left < 1:
            return name

        return f"{name}, {format_duration((monotonic() - self.began[0]) / done * left)} left"

    def _get_train_description(self, current_epoch: int) -> str:
        # Private: Lightning's way to another text beside the bar.
        return self.describe(current_epoch, ended=0)

    def configure_columns(self, trainer: L.Trainer) -> list[Any]:
        """Columns but the last, the speed, which 80 characters have no room for."""
        return super().configure_columns(trainer)[:-1]

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> Any:
        """Metrics beside the bar, with a short name of the loss and no number of a version."""
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        loss = {"loss": metrics.pop(LOSS_OF_STEP)} if LOSS_OF_STEP in metrics else {}
        return loss | metrics
