"""Distillation: a network learns what a trained one answers, beside what is true."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.networks.scores import Scores
from avfusion.targets import Target


class Distillation(nn.Module):
    """Minimize the distance from the outputs of a teacher, too, of ``weight`` in [0, 1].

    Hinton et al., 2015, https://arxiv.org/abs/1503.02531: the teacher answers the same clips, of
    which it may read more than the network that learns does. The distance is the divergence from
    its probabilities, both at ``temperature``, times the squared temperature, which keeps the size
    of gradients; for several classes, the mean over their decisions. For numbers it is the mean
    squared difference of outputs, and there is no temperature.

    The teacher stays in evaluation mode, gets no gradient, and is neither among the parameters nor
    in a checkpoint.
    """

    def __init__(
        self, teacher: nn.Module, target: Target, temperature: float = 2.0, weight: float = 0.5
    ) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise ValueError(
                f"distillation.temperature must be positive and finite, got {temperature}."
            )
        if not 0 <= weight <= 1:
            raise ValueError(f"distillation.weight must lie in [0, 1], got {weight}.")

        self.teacher = (teacher.eval().requires_grad_(False),)  # a tuple, so no part of this module
        self.target = target
        self.temperature = temperature
        self.weight = weight

    def forward(self, loss: Tensor, scores: Scores, clips: Clips) -> Tensor:
        """Average the loss so far and the distance from the teacher, by weight."""
        (teacher,) = self.teacher
        with torch.no_grad():
            taught = teacher.to(next(iter(clips.streams.values())))(clips).logits
        distance = measure_distance(self.target, scores.logits, taught, self.temperature)
        return (1 - self.weight) * loss + self.weight * distance


def measure_distance(
    target: Target,
    outputs: Float[Tensor, "batch outputs"],
    taught: Float[Tensor, "batch outputs"],
    temperature: float,
) -> Float[Tensor, ""]:
    """Measure how far outputs are from those of a teacher; 0 where they say the same."""
    if target.limits is None:
        return F.mse_loss(outputs, taught)

    ours, theirs = outputs.float() / temperature, taught.float() / temperature
    if target.exclusive:
        own, true = ours.log_softmax(dim=1), theirs.log_softmax(dim=1)
        return temperature**2 * F.kl_div(own, true, reduction="batchmean", log_target=True)

    probability = theirs.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(theirs, probability)
    return temperature**2 * (F.binary_cross_entropy_with_logits(ours, probability) - entropy)
