"""Mixup: training clips are mixed by twos, faces and voices and labels alike."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avfusion.data.batch import Clips, Mixed


class Mixup:
    """Mix each training clip with another one of its batch (Zhang et al., 2018).

    https://arxiv.org/abs/1710.09412. For each batch one share is drawn from Beta(alpha, alpha), and
    for each clip one partner: its face and its voice are mixed with those of the same clip, in the
    same share. The share is that of the clip itself, at least a half, so that its label is the one
    that metrics count. What is minimized is the loss for both labels, each by its share, which for
    cross entropy, also of several classes, is the loss for the mixed label.

    A step that only one of two sequences has stays as it is, and the longer one's length is true.
    A clip without face or without voice is mixed with one that lacks the same. It needs
    floating-point numbers, as clips have on their device.
    """

    def __init__(self, alpha: float = 0.4) -> None:
        if not 0 < alpha < math.inf:
            raise ValueError(f"data.augmentation.mixup.alpha must be above 0, got {alpha}.")
        self.alpha = alpha

    def __call__(self, clips: Clips) -> Clips:
        """Mixed clips, with the labels of their partners."""
        drawn = float(torch.distributions.Beta(self.alpha, self.alpha).sample())
        partner = torch.randperm(len(clips.row), device=clips.row.device)
        return mix_clips(clips, partner, max(drawn, 1 - drawn))


def mix_clips(clips: Clips, partner: Int[Tensor, "batch"], share: float) -> Clips:
    """Mix clips with their partners; those that do not have the same modalities stay unmixed."""
    flags = torch.stack([clips.has_face, clips.has_audio])
    alike = (flags == flags[:, partner]).all(dim=0)
    partner = torch.where(alike, partner, torch.arange(len(partner), device=partner.device))

    streams = {
        name: _mix_steps(values, clips.lengths[name], partner, share)
        if name in clips.lengths
        else share * values + (1 - share) * values[partner]
        for name, values in clips.streams.items()
    }
    return clips._replace(
        streams=streams,
        lengths={name: torch.maximum(one, one[partner]) for name, one in clips.lengths.items()},
        mixed=Mixed(clips.label[partner], share),
    )


def _mix_steps(
    values: Float[Tensor, "batch *item"],
    length: Int[Tensor, "batch"],
    partner: Int[Tensor, "batch"],
    share: float,
) -> Float[Tensor, "batch *item"]:
    """Mix sequences over the steps that both have; time is the only axis, or the last but one."""
    axis = max(1, values.ndim - 2)
    beside = [1] * (values.ndim - axis - 1)
    steps = torch.arange(values.shape[axis], device=values.device).view(-1, *beside)
    true = steps < length.view(-1, *[1] * (values.ndim - 1))

    own = torch.where(true[partner], share, 1.0) * true
    other = torch.where(true, 1 - share, 1.0) * true[partner]
    return own.to(values.dtype) * values + other.to(values.dtype) * values[partner]
