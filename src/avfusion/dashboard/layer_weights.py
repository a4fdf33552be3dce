"""Learned weights of the layers of frozen encoders."""

from typing import Any

import lightning as L

from avfusion.dashboard.media_loggers import media_loggers
from avfusion.dashboard.tensorboard_writer import check_epochs, is_due
from avfusion.figures.layer_weights import layer_weights_figure
from avfusion.models.layers.layer_weights import list_layer_weights


class LayerWeights(L.Callback):
    """Draw how much each layer of a stream counts, every n epochs.

    Nothing is drawn of networks that read no stream with layers.
    """

    def __init__(self, every_n_epochs: int = 4) -> None:
        self.every_n_epochs = check_epochs(every_n_epochs, "layer_weights")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Draw the weights of each encoder that has some."""
        loggers = media_loggers(trainer) if is_due(trainer, self.every_n_epochs) else []
        if not loggers:
            return
        for part, weights in list_layer_weights(pl_module.network.state_dict()).items():
            figure = layer_weights_figure(weights)
            for logger in loggers:
                logger.figure(f"layer_weights/{part}", figure, trainer.global_step)
