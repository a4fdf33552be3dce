"""Scatter plot of predicted over true numbers."""

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor

from avfusion.callbacks.resume import gather_objects
from avfusion.dashboard.epoch_predictions import EpochPredictions
from avfusion.dashboard.media_loggers import media_loggers
from avfusion.figures.scatter import scatter_figure


class Scatter(EpochPredictions):
    """Draw predicted over true numbers of validation every n epochs, and of the test."""

    plot = "scatter"

    def __init__(self, every_n_epochs: int = 4) -> None:
        super().__init__(every_n_epochs, "scatter")

    def count(
        self, predictions: Float[Tensor, "clips names"], label: Float[Tensor, "clips names"]
    ) -> Float[Tensor, "clips names 2"]:
        """True and predicted numbers."""
        return torch.stack([label.float(), predictions], dim=-1)

    def add(self, counts: Tensor, more: Tensor) -> Tensor:
        """Clips of both."""
        return torch.cat([counts, more])

    def gather(self, trainer: L.Trainer, counts: Tensor) -> Tensor:
        """Clips of all processes."""
        return torch.cat(gather_objects(counts.cpu()))

    def show(self, trainer: L.Trainer, stage: str, counts: Tensor) -> None:
        """Draw one split."""
        figure = scatter_figure(counts[..., 0], counts[..., 1], self.target.output_names)
        for logger in media_loggers(trainer):
            logger.figure(f"{stage}/scatter", figure, trainer.global_step)
