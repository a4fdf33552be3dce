"""Histograms of the weights."""

import lightning as L

from avfusion.dashboard.tensorboard_writer import check_epochs, get_writer, is_due


class WeightHistograms(L.Callback):
    """Write a histogram of each weight every n epochs."""

    def __init__(self, every_n_epochs: int = 4) -> None:
        self.every_n_epochs = check_epochs(every_n_epochs, "weight_histograms")

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write all weights of the network."""
        writer = get_writer(trainer) if is_due(trainer, self.every_n_epochs) else None
        if writer is None:
            return
        for name, weight in pl_module.network.named_parameters():  # type: ignore[union-attr]
            part, _, rest = name.partition(".")
            known = weight.detach().float().cpu()
            known = known[known.isfinite()]  # a network that has diverged has others, too
            tag = f"weights_{part}/{rest or part}"
            if len(known):
                writer.add_histogram(tag, known, trainer.global_step)
