"""Confusion matrix of validation and test."""

import lightning as L
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from avfusion.dashboard.epoch_predictions import EpochPredictions
from avfusion.dashboard.media_loggers import media_loggers
from avfusion.figures.predictions import confusion_figure


class ConfusionMatrix(EpochPredictions):
    """Draw the confusion matrix of validation every n epochs, and that of the test.

    Nothing is drawn where classes do not exclude each other: of a clip with several, right ones
    and wrong ones, there is no saying which was taken for which.
    """

    plot = "confusion"

    def __init__(self, every_n_epochs: int = 4) -> None:
        super().__init__(every_n_epochs, "confusion_matrix")

    def count(self, probabilities: Tensor, label: Tensor) -> Tensor:
        """Count the clips of a batch."""
        return count_confusions(probabilities, label)

    def show(self, trainer: L.Trainer, stage: str, counts: Tensor) -> None:
        """Draw one split."""
        target = trainer.datamodule.target  # type: ignore[attr-defined]
        figure = confusion_figure(counts.numpy(), target.output_names)
        for logger in media_loggers(trainer):
            logger.figure(f"{stage}/confusion", figure, trainer.global_step)


def count_confusions(
    scores: Float[Tensor, "clips classes"], label: Int64[Tensor, "clips"]
) -> Int64[Tensor, "true predicted"]:
    """Count the clips whose label is known, by label and by the class of the highest score."""
    classes = scores.shape[1]
    pairs = (classes * label + scores.argmax(dim=1))[label >= 0]
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)
