"""Grid of the first training batch, as the network sees it."""

from typing import Any

import lightning as L

from avfusion.dashboard.media_loggers import media_loggers
from avfusion.data.batch import Clips
from avfusion.features.clip import MODALITIES
from avfusion.figures.predictions import batch_figure


class BatchGrid(L.Callback):
    """Draw the first training batch, after augmentation and with boxes that moved along."""

    def __init__(self, clips: int = 16) -> None:
        if clips < 1:
            raise ValueError(f"callbacks.batch_grid.clips must be at least 1, got {clips}.")
        self.clips = clips

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Clips, batch_idx: int
    ) -> None:
        """Draw once; a run that goes on has its first batch behind it."""
        found = media_loggers(trainer) if trainer.global_step == 0 and batch_idx == 0 else []
        if not found:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        few = batch.map(lambda part: part[: self.clips].cpu())
        pictures, audio = (data.shown(few, modality) for modality in MODALITIES)
        figure = batch_figure(pictures, audio, few, data.target)
        for logger in found:
            logger.figure("train/first_batch", figure, 0)
