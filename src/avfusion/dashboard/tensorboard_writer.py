"""Writer of TensorBoard, and the epochs in which callbacks write."""

import lightning as L
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.tensorboard import SummaryWriter


def get_writer(trainer: L.Trainer) -> SummaryWriter | None:
    """Writer of TensorBoard, None without it and in all processes but the first."""
    if not trainer.is_global_zero:
        return None
    found = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    return found[0].experiment if found else None


def is_due(trainer: L.Trainer, every_n_epochs: int) -> bool:
    """Whether this epoch is one of every so many, or the last that is planned; 0 is never."""
    if not every_n_epochs or trainer.sanity_checking:
        return False
    epoch = trainer.current_epoch + 1
    return epoch % every_n_epochs == 0 or epoch == trainer.max_epochs


def check_epochs(every_n_epochs: int, callback: str) -> int:
    """Number of epochs, or refuse it."""
    if not isinstance(every_n_epochs, int) or every_n_epochs < 0:
        raise ValueError(
            f"callbacks.{callback}.every_n_epochs must be a whole number of epochs, 0 for never, "
            f"got {every_n_epochs}."
        )
    return every_n_epochs
