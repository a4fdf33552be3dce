"""Lightning module: loss, metrics and optimizer around a network."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection

from avfusion.checkpoint import Recipe
from avfusion.data.batch import Clips
from avfusion.models.attention.entropy import mean_entropy
from avfusion.models.initialization import Init, initialize
from avfusion.models.networks.scores import ModuleFactory, Scores
from avfusion.targets import Target, check_loss, check_outputs
from avfusion.training.metrics.stages import stage_metrics

LOSS_OF_STEP = "train/loss_step"


class FusionTask(L.LightningModule):
    """Learn to predict the target of a clip from its face and its voice.

    ``optimizer`` takes the network, ``scheduler`` an optimizer and the number of steps; neither is
    needed to evaluate. ``lr_scale`` multiplies the learning rate by part of the network. ``init``
    draws the initial weights, ``init_parts`` those of some parts (see ``initialize``).

    Minimized are the loss and, where a network has glimpses: ``single_glimpses`` times the mean
    loss of the outputs from one of its glimpses alone, so that each of them has to find who speaks;
    ``glimpse_entropy`` times their mean entropy in nats, which makes them narrow above zero and
    wide below.

    Remedies against modalities that learn unequally change what is minimized:
    ``unimodal_heads`` makes losses from each modality alone, ``distillation`` adds the distance
    from a teacher (see ``avfusion.training.remedies``).

    ``recipe`` is what restores this task and travels in every checkpoint; without, a checkpoint
    holds weights only.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        target: Target,
        optimizer: Callable[..., Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], LRScheduler] | None = None,
        init: Init = "default",
        init_parts: Mapping[str, Init] | None = None,
        single_glimpses: float = 0.0,
        glimpse_entropy: float = 0.0,
        lr_scale: Mapping[str, float] | None = None,
        recipe: Recipe | None = None,
        unimodal_heads: ModuleFactory | None = None,
        distillation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        check_outputs(target)
        check_loss(target, loss)
        if not target.exclusive and getattr(network, "log_probabilities", False):
            raise ValueError(
                f"{type(network).__name__} answers with probabilities that sum to one, which "
                f"{type(loss).__name__} cannot use: choose another model."
            )

        initialize(network, init, init_parts)

        self.lr_scale = lr_scale
        self.single_glimpses = single_glimpses
        self.glimpse_entropy = glimpse_entropy
        self.network = network
        self.loss = loss
        self.target = target
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.recipe = recipe

        # Each takes what is minimized so far, and gives what is minimized with it.
        self.remedies = nn.ModuleDict()
        if unimodal_heads is not None:
            self.remedies["unimodal_heads"] = unimodal_heads(network, target, self.label_loss)
        if distillation is not None:
            self.remedies["distillation"] = distillation

        self.ignore_buffers()

        metrics = stage_metrics(target)
        self.train_metrics = metrics.clone(prefix="train/")
        self.val_metrics = metrics.clone(prefix="val/")
        self.test_metrics = metrics.clone(prefix="test/")

    def ignore_buffers(self) -> None:
        """Let DDP exchange no buffers: what processes do to them, they do alike.

        In validation it would wait for ever where they have unequal numbers of batches.
        """
        # Private: the name that torch's DDP reads.
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers()]

    def forward(self, clips: Clips) -> Scores:
        """Run the network."""
        return self.network(clips)

    def training_step(self, clips: Clips, batch_idx: int) -> Tensor:
        """Compute and log the loss to be minimized."""
        loss, _ = self.step(clips, self.train_metrics)
        self.log_loss(loss)
        return loss

    def log_loss(self, loss: Tensor) -> None:
        """Log the loss to be minimized of this step."""
        self.log(LOSS_OF_STEP, loss, on_step=True, on_epoch=False, prog_bar=True)

    def validation_step(self, clips: Clips, batch_idx: int) -> None:
        """Update loss and metrics of the validation split."""
        self.step(clips, self.val_metrics)

    def test_step(self, clips: Clips, batch_idx: int) -> None:
        """Update loss and metrics of the split to test on."""
        self.step(clips, self.test_metrics)

    def predict_step(self, clips: Clips, batch_idx: int) -> tuple[Tensor, Tensor, Tensor | None]:
        """Predict rows of the index, ``[batch]``, predictions, ``[batch, outputs]``, glimpses."""
        scores = self(clips)
        return clips.row, self.target.predict(scores.logits), scores.glimpses

    def step(self, clips: Clips, metrics: MetricCollection) -> tuple[Tensor, Scores]:
        """Update the metrics by one batch; compute the loss to be minimized, and the scores."""
        scores = self(clips)
        loss = self.label_loss(scores.logits, clips)

        metrics.update(
            # One per clip: a MeanMetric that lets NaN pass ignores weights.
            value=loss.detach().expand(len(clips.label)),
            preds=scores.logits,
            target=clips.label,
            glimpses=scores.glimpses,
            box=clips.box,
        )

        return self.minimized_loss(loss, scores, clips), scores

    def label_loss(self, outputs: Tensor, clips: Clips) -> Tensor:
        """Compute the loss of outputs for the labels of clips; of mixed ones, for both labels."""
        loss = self.loss(outputs, clips.label)
        if clips.mixed is None:
            return loss
        share = clips.mixed.share
        return share * loss + (1 - share) * self.loss(outputs, clips.mixed.label)

    def minimized_loss(self, loss: Tensor, scores: Scores, clips: Clips) -> Tensor:
        """Add the losses of the glimpses, each with its weight, then let remedies change it."""
        if self.single_glimpses and scores.single is not None:
            losses = torch.stack([self.label_loss(logits, clips) for logits in scores.single])
            loss = loss + self.single_glimpses * losses.mean()

        if self.glimpse_entropy and scores.glimpses is not None:
            loss = loss + self.glimpse_entropy * mean_entropy(scores.glimpses)

        if self.training:
            for remedy in self.remedies.values():
                loss = remedy(loss, scores, clips)

        return loss

    def on_train_epoch_end(self) -> None:
        """Log the metrics of the training clips, with the weights of each step."""
        self.log_metrics(self.train_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation split."""
        self.log_metrics(self.val_metrics)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the split that was tested on."""
        self.log_metrics(self.test_metrics)

    def log_metrics(self, metrics: MetricCollection) -> None:
        """Log a stage's metrics, over all processes, and reset them."""
        self.log_dict(metrics.compute())
        metrics.reset()

    def configure_optimizers(self) -> Any:
        """Build the optimizer and its schedule by step."""
        steps = int(self.trainer.estimated_stepping_batches)
        return name_schedule(*self.build_optimizer(steps), "train/learning_rate")

    def build_optimizer(self, steps: int) -> tuple[Optimizer, LRScheduler]:
        """Build optimizer and schedule for so many steps, or refuse what they are given."""
        assert self.optimizer is not None and self.scheduler is not None
        own = {"model_lr_scale": self.lr_scale} if self.lr_scale else {}
        optimizer = self.optimizer(self.network, **own)
        if learned := list(self.remedies.parameters()):
            optimizer.add_param_group({"params": learned, "weight_decay": 0.0, "name": "remedies"})
        return optimizer, self.scheduler(optimizer, steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the recipe that restores this task."""
        if self.recipe is not None:
            checkpoint["recipe"] = self.recipe.plain()


def name_schedule(optimizer: Optimizer, schedule: LRScheduler, name: str) -> dict[str, Any]:
    """Describe an optimizer to Lightning, with a schedule by step that is logged under a name."""
    by_step = {"scheduler": schedule, "interval": "step", "name": name}
    return {"optimizer": optimizer, "lr_scheduler": by_step}
