"""OGM-GE: the modality that is ahead learns with smaller gradients, and with noise."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from avfusion.bounds import NonNegativeFloat, NonNegativeInt
from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.features.clip import MODALITIES
from avfusion.targets import Target
from avfusion.training.task import FusionTask

log = logging.getLogger(__name__)
# Optimizers that divide a gradient by the size which it usually has.
ADAPTIVE = {"Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop"}


class OGMGE(L.Callback):
    """Modulate the gradients of both encoders by how far one modality is ahead of the other.

    On-the-fly gradient modulation with generalization enhancement (Peng et al., 2022,
    https://arxiv.org/abs/2203.15332). The score of a modality is the probability that it alone
    gives to the true labels of the batches of a step, over all processes; with ``rho``, the score
    of the modality that is ahead over that of the other one, its gradients are multiplied by
    ``1 - tanh(alpha * rho)``. With ``noise``, all modulated gradients get Gaussian noise of the
    deviation that they had before, the same one in all processes.

    What a modality alone says is its share of the outputs f: that of the face is half of
    ``f(both) + f(face) - f(audio)``, where f(face) is what the network answers without the voice.
    Of a linear map of both vectors this is what the paper has, ``W_face x + bias / 2``; it costs
    three forward passes, and is defined for every fusion. For labels of several classes, the score
    is the mean probability of each true decision.

    Modulated are all parameters of a modality's encoder or, where it learns nothing, as on stored
    features, those of the layers that read nothing but this modality; in epochs from
    ``first_epoch``, counted from 0, to ``last_epoch`` (null: to the end). Gradients are modulated
    once they are no longer scaled, as with ``16-mixed``, and before they are clipped.
    """

    def __init__(
        self,
        alpha: NonNegativeFloat = 0.8,
        noise: bool = True,
        first_epoch: NonNegativeInt = 0,
        last_epoch: NonNegativeInt | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 <= alpha < math.inf:
            raise ValueError(f"callbacks.ogm_ge.alpha must be at least 0 and finite, got {alpha}.")
        if last_epoch is not None and last_epoch < first_epoch:
            raise ValueError(
                f"callbacks.ogm_ge.last_epoch={last_epoch} comes before first_epoch={first_epoch}: "
                "no epoch would be modulated."
            )
        self.alpha = alpha
        self.noise = noise
        self.first_epoch = first_epoch
        self.last_epoch = math.inf if last_epoch is None else last_epoch
        self.seed = seed
        self.modulated: dict[str, list[nn.Parameter]] = {}
        self.scores: Tensor | None = None  # of face and voice, in the batches since the last step

    def check(self, task: FusionTask, data: FaceAudioDataModule) -> None:
        """Refuse a target without probabilities, and clips or a network without both modalities."""
        if task.target.limits is None:
            raise ValueError(
                "OGM-GE compares probabilities of true classes, and these clips have "
                f"{task.target.has}: choose another remedy."
            )
        dataset = data.dataset("train")
        has_both = (dataset.store.has_face & dataset.store.has_audio)[dataset.rows]
        if not has_both.any():
            raise ValueError(
                "OGM-GE compares the face and the voice of a clip, and no training clip of "
                f"{data.path} has both: leave it out (remedy=none)."
            )
        clips = dataset.__getitems__(np.flatnonzero(has_both)[:8].tolist()).with_floats()
        learned = next(task.network.parameters())
        clips = clips.map(
            lambda part: part.to(learned if part.is_floating_point() else learned.device)
        )
        self.modulated = find_unimodal_parameters(task.network, clips)

        for modality, parameters in self.modulated.items():
            if not parameters:
                raise ValueError(
                    "OGM-GE balances how fast face and voice are learned, and nothing that "
                    f"{type(task.network).__name__} learns reads the {modality} alone: choose a "
                    "network of both, such as model=lowrank, or leave it out (remedy=none)."
                )

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Find what is modulated, and warn where most of it is in vain."""
        assert isinstance(pl_module, FusionTask)
        self.check(pl_module, trainer.datamodule)  # type: ignore[attr-defined]  # a connector sets it
        self.scores = None
        name = type(trainer.optimizers[0]).__name__ if trainer.optimizers else ""
        if name in ADAPTIVE:
            log.warning(
                "OGM-GE multiplies gradients, and %s divides them by the size that they usually "
                "have: a constant factor cancels, only its changes count. Set "
                "optimizer=momentum or optimizer=sgd.",
                name,
            )

    def is_on(self, trainer: L.Trainer) -> bool:
        """Whether this epoch is one of those that are modulated."""
        return self.first_epoch <= trainer.current_epoch <= self.last_epoch

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Clips, batch_idx: int
    ) -> None:
        """Add up the scores of a batch."""
        if not self.is_on(trainer):
            return
        assert isinstance(pl_module, FusionTask)
        with trainer.precision_plugin.forward_context():
            scores = score_modalities(pl_module.network, pl_module.target, batch)
        self.scores = scores if self.scores is None else self.scores + scores

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Modulate the gradients of the network; others are those of discriminators."""
        if self.scores is None or optimizer is not trainer.optimizers[0]:
            return
        # Lightning's types do not know that a strategy reduces a tensor to a tensor.
        scores: Any = trainer.strategy.reduce(self.scores, reduce_op="mean")
        self.scores = None
        coefficients = compute_coefficients(scores[0], scores[1], self.alpha)

        generator = torch.Generator(pl_module.device)
        generator.manual_seed(self.seed * 1_000_003 + trainer.global_step)
        for modality, coefficient in zip(MODALITIES, coefficients, strict=True):
            pl_module.log(f"train/ogm_{modality}", coefficient.float())
            for parameter in self.modulated[modality]:
                if parameter.grad is not None:
                    self.modulate(parameter.grad, coefficient, generator)

    def modulate(self, gradient: Tensor, coefficient: Tensor, generator: torch.Generator) -> None:
        """Multiply a gradient, and add noise of the deviation that it had."""
        deviation = gradient.std() if gradient.numel() > 1 else torch.zeros_like(gradient).sum()
        gradient.mul_(coefficient.to(gradient.dtype))
        if self.noise:
            drawn = torch.randn(
                gradient.shape, generator=generator, device=gradient.device, dtype=gradient.dtype
            )
            gradient.add_(deviation * drawn)


def compute_coefficients(
    face: Float[Tensor, ""], audio: Float[Tensor, ""], alpha: float
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Compute what gradients of face and voice are multiplied by: less than one where it is ahead.

    Without any score, as of no clips with both modalities, both are one.
    """
    one = torch.ones_like(face)
    if not (face > 0 and audio > 0):
        return one, one
    less = 1 - torch.tanh(alpha * torch.maximum(face / audio, audio / face))
    return torch.where(face > audio, less, one), torch.where(audio > face, less, one)


@torch.no_grad()
def score_modalities(network: nn.Module, target: Target, clips: Clips) -> Float[Tensor, "2"]:
    """Sum the probabilities that face and voice, each alone, give to the true labels of clips.

    Clips that lack a modality do not count.
    """
    both = clips.has_face & clips.has_audio
    with _in_evaluation(network):
        fused = network(clips).logits
        face = network(clips._replace(has_audio=torch.zeros_like(both))).logits
        audio = network(clips._replace(has_face=torch.zeros_like(both), all_have_face=False)).logits

    shares = ((fused + face - audio) / 2, (fused + audio - face) / 2)
    scores = [true_probability(target, share, clips.label)[both].sum() for share in shares]
    return torch.stack(scores)


def true_probability(target: Target, outputs: Tensor, label: Tensor) -> Float[Tensor, "batch"]:
    """Probability that outputs give to the true class of each clip, or to its true decisions."""
    probability, truth = target.predict(outputs), target.indicators(label)
    if target.exclusive:
        return torch.where(truth == 1, probability, 0).sum(dim=-1)
    known = truth >= 0
    right = torch.where(truth == 1, probability, 1 - probability)
    return torch.where(known, right, 0).sum(dim=-1) / known.sum(dim=-1).clamp(min=1)


def find_unimodal_parameters(network: nn.Module, clips: Clips) -> dict[str, list[nn.Parameter]]:
    """Find what a network learns of each modality alone: the parameters of its encoder.

    Where that learns nothing, they are those of the layers whose inputs depend on this modality and
    on nothing else, found by taking away one modality and then the other.
    """
    found: dict[str, list[nn.Parameter]] = {}
    for modality in MODALITIES:
        encoder = getattr(network, f"{modality}_encoder", None)
        parameters = [] if encoder is None else [*encoder.parameters()]
        found[modality] = [p for p in parameters if p.requires_grad]

    if all(found.values()):
        return found

    whole = _record_inputs(network, clips)
    missing = torch.zeros_like(clips.has_face)
    faceless = _record_inputs(network, clips._replace(has_face=missing, all_have_face=False))
    voiceless = _record_inputs(network, clips._replace(has_audio=missing))
    changed = {
        layer: (_differ(given, faceless[layer]), _differ(given, voiceless[layer]))
        for layer, given in whole.items()
    }
    for modality, pattern in zip(MODALITIES, ((True, False), (False, True)), strict=True):
        if not found[modality]:
            layers = [layer for layer, one in changed.items() if one == pattern]
            found[modality] = [
                p for layer in layers for p in layer.parameters(recurse=False) if p.requires_grad
            ]
    return found


@torch.no_grad()
def _record_inputs(network: nn.Module, clips: Clips) -> dict[nn.Module, list[Tensor]]:
    """Record the first inputs of each layer that has parameters of its own."""
    inputs: dict[nn.Module, list[Tensor]] = {}

    def record(layer: nn.Module, given: tuple[Any, ...]) -> None:
        tensors = [one.clone() for one in given if isinstance(one, Tensor)]
        inputs.setdefault(layer, tensors)

    layers = [layer for layer in network.modules() if [*layer.parameters(recurse=False)]]
    handles = [layer.register_forward_pre_hook(record) for layer in layers]
    try:
        with _in_evaluation(network):
            network(clips)
    finally:
        for handle in handles:
            handle.remove()
    return inputs


def _differ(some: list[Tensor], others: list[Tensor]) -> bool:
    return any(not torch.equal(one, other) for one, other in zip(some, others, strict=True))


@contextmanager
def _in_evaluation(network: nn.Module) -> Iterator[None]:
    """Let a network drop out nothing, and its statistics stay as they are."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
