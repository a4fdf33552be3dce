"""A training that is asked to end leaves what is needed to go on."""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities.exceptions import SIGTERMException

from avfusion.callbacks.checkpoints import LastCheckpoint, is_between_steps

log = logging.getLogger(__name__)


class Preemption(L.Callback):
    """Write the last checkpoint after the step in which SIGTERM came, and end the training.

    After the last batch of an epoch, validation and its checkpoints come first.
    """

    def __init__(self) -> None:
        self.asked = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen to the signal in the place of Lightning, which restores its own in the end."""
        self.asked = False
        signal.signal(signal.SIGTERM, self.remember)

    def remember(self, *_: Any) -> None:
        """Keep in mind that the signal came."""
        self.asked = True

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """End within an epoch, all processes after the same batch."""
        if not is_between_steps(trainer, batch_idx) or not self.agreed(trainer):
            return
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # a connector sets it
            if isinstance(callback, LastCheckpoint):
                callback.save(trainer)
        raise SIGTERMException

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End between epochs, once all of the last one is written."""
        if self.agreed(trainer):
            raise SIGTERMException

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """End after the last epoch."""
        if self.agreed(trainer):
            raise SIGTERMException

    def agreed(self, trainer: L.Trainer) -> bool:
        """Say whether any process was asked to end."""
        return bool(trainer.strategy.reduce_boolean_decision(self.asked, all=False))


@contextmanager
def terminated(folder: Path) -> Iterator[None]:
    """Leave with code 143 where SIGTERM ended the training: it can be gone on with."""
    try:
        yield
    except SIGTERMException:
        log.warning("Ended by SIGTERM. Go on with ckpt_path=%s", folder)
        sys.exit(128 + signal.SIGTERM)
