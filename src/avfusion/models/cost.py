"""Size and compute cost of a network."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avfusion.data.batch import Clips


def count_parameters(module: nn.Module) -> int:
    """Count all parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_megaflops(network: nn.Module, clips: Clips) -> float:
    """Count millions of multiplications and additions in the forward pass of one clip.

    They are counted on the meta device, where nothing is computed: on a CPU, torch's counter takes
    LSTMs and fused attention for free. Elementwise operations and Fourier transforms do not count.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False).float().to("meta")
    clip = clips.map(lambda part: part[:1].to("meta"))

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copied(clip)

    return counter.get_total_flops() / 1e6
