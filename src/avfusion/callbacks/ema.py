"""Exponential moving average of the weights: what is validated, kept and tested."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EMAWeightAveraging

from avfusion.bounds import PositiveInt


class EMA(EMAWeightAveraging):
    """Average the weights over the steps of a training, as Lightning does, for what comes after.

    ``decay`` is the part of the average that stays at each update, every ``update_every_n_steps``
    optimizer steps: it looks back over some ``1 / (1 - decay)`` of them. Validation scores the
    average, checkpoints hold it in the place of the weights, and beside it all that a training
    needs to go on bit for bit.
    """

    def __init__(self, decay: float = 0.99, update_every_n_steps: PositiveInt = 1) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"callbacks.ema.decay must lie in [0, 1), got {decay}.")
        super().__init__(decay=decay, update_every_n_steps=update_every_n_steps)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let go of the average, once the task has it: also where nothing was left to train."""
        if self._average_model is not None:  # private, here and below: Lightning's own state
            self._copy_average_to_current(pl_module)
        self._average_model = None

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore what training goes on with; a test takes the averages, which are loaded already.

        Lightning's own would put the weights of the last step in their place.
        """
        if self._average_model is not None:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
