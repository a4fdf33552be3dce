"""Gradient blending: losses of face, voice and both weigh as much as they generalize."""

from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor

from avfusion.bounds import PositiveInt
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.dataset import SplitDataset
from avfusion.training.remedies import UnimodalHeads
from avfusion.training.task import FusionTask

MIN_OVERFITTING = 0.01  # nats: below it differences of two measured losses are noise


class GradientBlending(L.Callback):
    """Weigh the losses of unimodal heads, and of both, anew after every few epochs.

    Wang et al., 2020, https://arxiv.org/abs/1905.12681, in the online form. The weight of a loss is
    in proportion to G / O²: G is by how much it has fallen on validation clips, O by how much more
    it has fallen on training clips. The paper measures both in trainings of each modality for
    itself, from the same weights on; here they are those of the heads in the ``every_n_epochs``
    that have just ended, which costs nothing but the measuring. At first all weigh the same; a loss
    that has risen weighs nothing, and where all have, weights stay as they are. They sum to one.

    Losses are measured with the weights of the moment, without dropout and augmentation, on at most
    ``clips`` clips of each split, the same ones each time. The offline form, with weights that are
    known before, is ``remedy=auxiliary_heads``.
    """

    def __init__(self, every_n_epochs: PositiveInt = 1, clips: PositiveInt = 1000) -> None:
        self.every_n_epochs = every_n_epochs
        self.clips = clips
        self.losses: Tensor | None = None  # [train and val, face and audio and both], last measured

    def check(self, task: FusionTask, data: FaceAudioDataModule) -> None:
        """Refuse a task without heads or with weights of its own, and to learn from the test."""
        if data.splits.validates_on_test:
            raise ValueError(
                "Gradient blending learns weights of the losses from validation clips, which "
                "data.validation=test makes those of the test: leave data.validation at null, or "
                "leave out callbacks.gradient_blending (remedy=auxiliary_heads)."
            )
        heads = _get_heads(task)
        if heads.weights.tolist() != [1.0, 1.0, 1.0]:
            raise ValueError(
                "Gradient blending chooses the weights of the losses, and model.unimodal_heads has "
                f"face, audio, both = {heads.weights.tolist()}: leave them at 1, or leave out "
                "callbacks.gradient_blending (remedy=auxiliary_heads)."
            )

    def state_dict(self) -> dict[str, Any]:
        """Losses that were measured last; the weights are in the heads."""
        return {"losses": self.losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from these losses."""
        self.losses = state_dict["losses"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Measure the losses before the first step, unless training goes on."""
        if self.losses is None:
            assert isinstance(pl_module, FusionTask)
            _get_heads(pl_module).set_weights(torch.full((3,), 1 / 3))
            self.losses = self.measure(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Choose other weights."""
        if (trainer.current_epoch + 1) % self.every_n_epochs:
            return
        assert isinstance(pl_module, FusionTask) and self.losses is not None
        heads, losses = _get_heads(pl_module), self.measure(trainer, pl_module)
        weights = blend_losses(self.losses, losses)
        self.losses = losses
        if weights is not None:
            heads.set_weights(weights)
        names = ("face", "audio", "both")
        pl_module.log_dict(
            {f"train/blend_{n}": w for n, w in zip(names, heads.weights, strict=True)}
        )

    def measure(self, trainer: L.Trainer, task: FusionTask) -> Float[Tensor, "2 3"]:
        """Measure all losses on training and on validation clips, over all processes."""
        data: FaceAudioDataModule = trainer.datamodule  # type: ignore[attr-defined]
        sums = torch.stack(
            [self.sum_losses(trainer, task, data.dataset(split)) for split in ("train", "val")]
        )
        # Lightning's types do not know that a strategy reduces a tensor to a tensor.
        total: Any = trainer.strategy.reduce(sums.float().to(task.device), reduce_op="sum")
        losses, clips = total.cpu().unbind(dim=1)
        return losses / clips.clamp(min=1)

    @torch.no_grad()
    def sum_losses(
        self, trainer: L.Trainer, task: FusionTask, dataset: SplitDataset
    ) -> Float[Tensor, "2 3"]:
        """Sum the losses of this process's part of some clips, and count the clips of each."""
        data: FaceAudioDataModule = trainer.datamodule  # type: ignore[attr-defined]
        order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
        own = order[: self.clips][trainer.global_rank :: trainer.world_size]
        sums = torch.zeros(2, 3, dtype=torch.float64)

        task.eval()
        with trainer.precision_plugin.forward_context():
            for positions in own.split(data.batch_size) if len(own) else ():
                read = dataset.__getitems__(positions.tolist()).with_floats()
                clips = trainer.strategy.batch_to_device(read)
                clips = trainer.precision_plugin.convert_input(clips)._replace(label=clips.label)
                scores = task(clips)
                alone = _get_heads(task).losses(scores, clips)
                losses = torch.stack([*alone, task.label_loss(scores.logits, clips)]).cpu()
                counts = torch.stack([clips.has_face.sum(), clips.has_audio.sum()]).cpu()
                weights = torch.tensor([*counts.tolist(), len(positions)], dtype=torch.float64)
                sums += torch.stack([weights * losses, weights])
        task.train()
        return sums


def blend_losses(
    before: Float[Tensor, "2 3"], after: Float[Tensor, "2 3"]
) -> Float[Tensor, "3"] | None:
    """Weigh losses by the ratio of generalization to squared overfitting; None where all rose.

    Both hold the losses of training and of validation clips.
    """
    generalization = before[1] - after[1]
    overfitting = (after[1] - after[0]) - (before[1] - before[0])
    ratio = generalization.clamp(min=0) / overfitting.abs().clamp(min=MIN_OVERFITTING).square()
    return ratio / ratio.sum() if ratio.sum() > 0 else None


def _get_heads(task: FusionTask) -> UnimodalHeads:
    heads = task.remedies["unimodal_heads"] if "unimodal_heads" in task.remedies else None
    if not isinstance(heads, UnimodalHeads):
        raise ValueError(
            "Gradient blending weighs the losses of unimodal heads, which this task does not have: "
            "set remedy=gradient_blending, which makes them."
        )
    return heads
