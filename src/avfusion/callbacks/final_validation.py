"""Validation at the end of a training that ``trainer.max_steps`` limits."""

from typing import Any

import lightning as L


class FinalValidation(L.Callback):
    """Validate after ``trainer.max_steps``, also within an epoch, as after ``trainer.max_time``.

    Lightning alone would end without scores of these weights, or without any. Epochs that
    ``trainer.check_val_every_n_epoch`` leaves out stay without.
    """

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Let the epoch end as one that was asked to stop."""
        if trainer.global_step == trainer.max_steps:
            trainer.should_stop = True
