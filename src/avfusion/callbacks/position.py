"""Position within an epoch, for a training that resumes with another batch size."""

import math
from typing import Any

import lightning as L

from avfusion.data.datamodule import FaceAudioDataModule


class Position(L.Callback):
    """Count the batches that are left of an epoch anew where they have become larger or smaller.

    The data module keeps the position in clips; Lightning keeps it in batches, and would leave
    clips out, or read beyond the end, after a change of ``data.batch_size`` or of the number of
    processes.
    """

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Correct the number of batches done, before Lightning takes it over."""
        data = trainer.datamodule  # type: ignore[attr-defined]  # a connector sets it
        if not isinstance(data, FaceAudioDataModule) or not data.position["clips"]:
            return
        together = data.batch_size * trainer.world_size
        if data.position["clips_per_step"] == together:
            return
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        done = data.position["clips"] // together
        if trainer.limit_train_batches == 1.0:  # else the loader has clips enough
            done = count_batches(data, trainer.world_size) - count_batches(
                data, trainer.world_size, data.position["clips"]
            )

        shift = done - progress["current"]["ready"]
        for count in progress["current"]:
            progress["current"][count] += shift
        progress["is_last_batch"] = False


def count_batches(data: FaceAudioDataModule, processes: int, position: int = 0) -> int:
    """Count the batches that each process reads of an epoch from a position in clips on."""
    clips = len(data.splits.rows("train")) - position
    return math.ceil(clips // processes / data.batch_size)
