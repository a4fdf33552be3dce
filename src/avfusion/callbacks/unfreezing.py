"""Unfreezing: a part of the network begins to learn at a later epoch than the rest."""

import lightning as L
from torch.optim import Optimizer

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.training.task import FusionTask


class Unfreezing(L.Callback):
    """Leave a ``part`` of the network, such as ``face_encoder``, as it is until an ``epoch``.

    Its gradients are computed and dropped, so that processes of DDP agree on what is learned and a
    training that goes on needs to remember nothing; ``optimizer.lr_scale`` slows it down later.
    """

    def __init__(self, part: str, epoch: int) -> None:
        if epoch < 1:
            raise ValueError(f"callbacks.unfreezing.epoch must be at least 1, got {epoch}.")
        self.part = part
        self.epoch = epoch

    def check(self, task: FusionTask, data: FaceAudioDataModule) -> None:
        """Refuse a part that the network does not have."""
        if not self.part or self.part not in dict(task.network.named_modules()):
            parts = ", ".join(name for name, _ in task.network.named_children())
            raise ValueError(
                f"callbacks.unfreezing.part: the network has no {self.part!r}, only {parts}."
            )

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Drop the part's gradients while it is too early."""
        if trainer.current_epoch < self.epoch:
            for parameter in pl_module.get_submodule(f"network.{self.part}").parameters():
                parameter.grad = None
