"""Adversarial task: discriminators beside the network, with an optimizer of their own."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from avfusion.bounds import NonNegativeFloat, PositiveInt
from avfusion.checkpoint import Recipe
from avfusion.data.batch import Clips
from avfusion.models.adversarial import Discriminator, GradientReversal
from avfusion.models.initialization import Init
from avfusion.models.networks.scores import Imagined, ModuleFactory, Scores, Vectors
from avfusion.targets import Target
from avfusion.training.adversary import (
    call_frozen,
    check_smoothing,
    d_loss_fake,
    d_loss_real,
    discriminator_losses,
    g_loss,
    generator_losses,
    join_given,
    r1_penalty,
)
from avfusion.training.optimizer import build_optimizer
from avfusion.training.task import FusionTask, name_schedule


class AdversarialTask(FusionTask):
    """Learn as ``FusionTask`` does, and against discriminators.

    Where the network imagines missing modalities, one discriminator per modality tells true vectors
    from imagined ones. It sees each together with what it was imagined from, as one that belongs to
    no such vector is not real either (Isola et al., 2017, https://arxiv.org/abs/1611.07004). To the
    loss of the network come ``adversarial_weight`` times ``g_loss`` and ``l1_weight`` times the
    mean absolute difference from the true vector, which reach the generators and nothing else.

    Where ``alignment`` is given, a discriminator tells which modality a vector of the shared
    embedding is of, and the network learns that it cannot: by ``reversal`` of the gradient (Ganin
    and Lempitsky, 2015, https://arxiv.org/abs/1409.7495), or by ``alternating`` steps, in which the
    network minimizes the loss for exchanged modalities (Tzeng et al., 2017,
    https://arxiv.org/abs/1702.05464). ``alignment_weight`` is the weight of this loss.

    Both optimizers step after ``accumulate_grad_batches`` batches, and the norm of their gradients
    is clipped at ``gradient_clip_val`` and ``discriminator_clip_val``: Lightning does neither for
    two optimizers. The one of the discriminators is Adam with momentum 0.5 (Radford et al., 2016,
    https://arxiv.org/abs/1511.06434) and the schedule of the network. Steps of a training are those
    of the network's optimizer.
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
        discriminator: Callable[[int], nn.Module] = Discriminator,
        discriminator_lr: float = 0.0002,
        discriminator_clip_val: NonNegativeFloat | None = 1.0,
        smoothing: float = 0.1,
        adversarial_weight: NonNegativeFloat = 0.1,
        l1_weight: NonNegativeFloat = 1.0,
        r1_weight: NonNegativeFloat = 0.0,
        alignment: Literal["reversal", "alternating"] | None = None,
        alignment_weight: NonNegativeFloat = 0.1,
        gradient_clip_val: NonNegativeFloat | None = None,
        accumulate_grad_batches: PositiveInt = 1,
    ) -> None:
        super().__init__(
            network,
            loss,
            target,
            optimizer,
            scheduler,
            init,
            init_parts,
            single_glimpses,
            glimpse_entropy,
            lr_scale,
            recipe,
            unimodal_heads,
            distillation,
        )
        self.automatic_optimization = False
        check_smoothing(smoothing)
        if alignment not in (None, "reversal", "alternating"):
            raise ValueError(
                f"model.alignment must be reversal, alternating or null, got {alignment!r}."
            )
        if not 0 < discriminator_lr < math.inf:
            raise ValueError(
                f"model.discriminator_lr must be positive and finite, got {discriminator_lr}."
            )

        self.discriminator_lr = discriminator_lr
        self.smoothing = smoothing
        self.adversarial_weight = adversarial_weight
        self.l1_weight = l1_weight
        self.r1_weight = r1_weight
        self.alignment = alignment
        self.alignment_weight = alignment_weight
        self.clip_values = gradient_clip_val, discriminator_clip_val
        self.accumulate_grad_batches = accumulate_grad_batches
        self.reverse = GradientReversal()
        self.discriminators = self.make_discriminators(discriminator)
        self.ignore_buffers()

    def make_discriminators(self, make: Callable[[int], nn.Module]) -> nn.ModuleDict:
        """Make a discriminator for each modality that is imagined, and for the shared embedding."""
        made = nn.ModuleDict()
        imagination = getattr(self.network, "imagination", None)
        if imagination is not None:
            width = imagination.face_dim + imagination.audio_dim
            made["face"], made["audio"] = make(width), make(width)

        if self.alignment is not None:
            dim = getattr(self.network, "shared_dim", None)
            if dim is None:
                raise ValueError(
                    f"model/alignment={self.alignment} needs a network with a shared embedding of "
                    f"both modalities, which {type(self.network).__name__} does not have: set "
                    "model/alignment=none, or choose a fusion, such as model=lowrank."
                )
            made["modality"] = make(dim)

        if not made:
            raise ValueError(
                "AdversarialTask has nothing to learn against: set model/missing=imagined or "
                "model/alignment=reversal, or use FusionTask."
            )
        return made

    def training_step(self, clips: Clips, batch_idx: int) -> Tensor:
        """Take a step of the network and one of the discriminators, both from the same batch."""
        loss, scores = self.step(clips, self.train_metrics)
        self.log_loss(loss)

        # Discriminators are frozen in the first, what they look at is detached in the second.
        network_loss = loss + self.adversarial_loss(scores)
        own_loss = self.discriminator_loss(scores)
        self.manual_backward(network_loss / self.accumulate_grad_batches)
        self.manual_backward(own_loss / self.accumulate_grad_batches)

        if (batch_idx + 1) % self.accumulate_grad_batches == 0 or self.trainer.is_last_batch:
            self.step_optimizers()
        return network_loss.detach()

    def adversarial_loss(self, scores: Scores) -> Tensor:
        """Compute and log what the network minimizes against the discriminators."""
        total = scores.logits.new_zeros(())

        if scores.imagined is not None:
            losses = [
                generator_losses(self.discriminators[modality], fake, true, given)
                for modality, (given, true, fake) in split_directions(scores.imagined).items()
            ]
            adversarial = torch.stack([each.adversarial for each in losses]).mean()
            distance = torch.stack([each.l1 for each in losses]).mean()
            self.log_steps(g_loss=adversarial, imagination_l1=distance)
            total = total + self.adversarial_weight * adversarial + self.l1_weight * distance

        if scores.shared is not None:
            total = total + self.alignment_weight * self.alignment_loss(scores.shared)

        return total

    def alignment_loss(self, shared: Vectors) -> Tensor:
        """Compute the loss of a network whose modalities shall look alike in the embedding."""
        face, audio = select_present(shared)
        discriminator = self.discriminators["modality"]
        if self.alignment == "reversal":
            face, audio = self.reverse(face), self.reverse(audio)
        of_face, of_audio = (call_frozen(discriminator, vectors) for vectors in (face, audio))

        if self.alignment == "reversal":
            return d_loss_real(of_face) + d_loss_fake(of_audio)
        return d_loss_fake(of_face) + g_loss(of_audio)

    def discriminator_loss(self, scores: Scores) -> Tensor:
        """Compute and log what the discriminators minimize."""
        total = scores.logits.new_zeros(())

        if scores.imagined is not None:
            losses = []
            for modality, (given, true, fake) in split_directions(scores.imagined).items():
                discriminator = self.discriminators[modality]
                losses.append(
                    discriminator_losses(discriminator, true, fake, self.smoothing, given)
                )
                total = total + losses[-1].total
                if self.r1_weight:
                    total = total + self.r1_weight * r1_penalty(
                        discriminator, join_given(given, true)
                    )

            means = (torch.stack(each).mean() for each in zip(*losses, strict=True))
            names = ("d_loss_real", "d_loss_fake", "d_accuracy")
            self.log_steps(**dict(zip(names, means, strict=True)))

        if scores.shared is not None:
            vectors = select_present(scores.shared)
            told = discriminator_losses(self.discriminators["modality"], *vectors)
            self.log_steps(modality_loss=told.total, modality_accuracy=told.accuracy)
            total = total + told.total

        return total

    def log_steps(self, **values: Tensor) -> None:
        """Log values of this step, as often as the trainer logs."""
        named = {f"train/{name}": value.detach() for name, value in values.items()}
        self.log_dict(named, on_step=True, on_epoch=False)

    def step_optimizers(self) -> None:
        """Step both optimizers and their schedules; only the network's steps count as steps."""
        optimizers: Any = self.optimizers()
        schedules: Any = self.lr_schedulers()
        network, discriminators = optimizers
        # Private, and what Lightning's loop sets before each batch to count steps: two optimizers
        # would count each step twice, in trainer.max_steps, checkpoints and curves.
        discriminators._on_before_step = discriminators._on_after_step = _do_nothing

        for optimizer, schedule in zip((discriminators, network), reversed(schedules), strict=True):
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradients of one optimizer, once they are no longer scaled."""
        first = optimizer is self.trainer.optimizers[0]
        limit = self.clip_values[0 if first else 1]
        if limit:
            self.clip_gradients(optimizer, limit, "norm")

    def configure_optimizers(self) -> Any:
        """Build both optimizers and their schedules by step."""
        assert self.scheduler is not None
        steps = self.count_steps()
        optimizer = build_optimizer(
            self.discriminators, "Adam", self.discriminator_lr, betas=(0.5, 0.999)
        )
        return [
            name_schedule(*self.build_optimizer(steps), "train/learning_rate"),
            name_schedule(
                optimizer, self.scheduler(optimizer, steps), "train/learning_rate_discriminator"
            ),
        ]

    def count_steps(self) -> int:
        """Count the steps of a whole training, which Lightning knows without accumulation only."""
        trainer = self.trainer
        batches = trainer.estimated_stepping_batches  # sets up the loaders
        if self.accumulate_grad_batches == 1 or trainer.max_epochs in (None, -1):
            return int(batches)

        each = math.ceil(trainer.num_training_batches / self.accumulate_grad_batches)
        steps = each * trainer.max_epochs
        return steps if trainer.max_steps == -1 else min(steps, trainer.max_steps)


def split_directions(imagined: Imagined) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Given, true and imagined vectors by the modality that is imagined.

    Clips that lack a modality are left out: they have no true vector.
    """
    face, audio, face_alone, imagined_face, imagined_audio = (
        vectors[imagined.has_both] for vectors in imagined[:-1]
    )
    return {
        "face": (audio, face, imagined_face),
        "audio": (face_alone, audio, imagined_audio),
    }


def select_present(shared: Vectors) -> tuple[Tensor, Tensor]:
    """Select the face vectors, and the audio vectors, of clips that have them."""
    return shared.face[shared.has_face], shared.audio[shared.has_audio]


def _do_nothing() -> None:
    pass
