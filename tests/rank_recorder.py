"""A callback that lets a test see what each process ends with, and break some."""

import os
import time
from pathlib import Path

import lightning as L
import torch


class RankRecorder(L.Callback):
    """Save the weights and the tested rows of every rank into a folder, after training and testing.

    The processes of ranks in ``crash`` end as the first epoch does; the second does not end while
    there is a file ``held``, unless the process is asked to end.
    """

    def __init__(self, folder: str, crash: tuple[int, ...] = (), held: str | None = None) -> None:
        self.folder = Path(folder)
        self.crash = crash
        self.held = held
        self.rows: list[int] = []

    def on_train_epoch_end(self, trainer, task) -> None:
        if trainer.global_rank in self.crash:
            os._exit(7)
        while self.held and trainer.current_epoch == 1 and os.path.exists(self.held):
            if any(getattr(callback, "asked", False) for callback in trainer.callbacks):
                return
            time.sleep(0.05)

    def on_test_batch_end(self, trainer, task, outputs, batch, *_) -> None:
        self.rows += batch.row.tolist()

    def on_train_end(self, trainer, task) -> None:
        self.save(trainer, task)

    def on_test_end(self, trainer, task) -> None:
        self.save(trainer, task)

    def save(self, trainer, task) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        seen = {"weights": task.state_dict(), "rows": self.rows, "ranks": trainer.world_size}
        torch.save(seen, self.folder / f"rank{trainer.global_rank}.pt")
