"""Size and compute cost of a network."""

import copy
import warnings
from contextlib import ExitStack

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from avfusion.data.batch import Clips


def count_parameters(module: nn.Module) -> int:
    """Count all parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_megaflops(network: nn.Module, clips: Clips) -> float:
    """Count millions of multiplications and additions in the forward pass of one clip.

    Elementwise operations and Fourier transforms do not count.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False).float()
    clip = clips.map(lambda part: part[:1])
    try:
        return _count_flops(copied.to("meta"), clip.map(lambda part: part.to("meta"))) / 1e6
    except (RuntimeError, NotImplementedError):  # speech networks ask how long a sound is
        copied = copy.deepcopy(network).eval().requires_grad_(False).float().cpu()

    # On a CPU, torch's counter takes LSTMs and attention for free where their kernels are fused.
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of TF32 on Intel's GPUs
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        return _count_flops(copied, clip.map(lambda part: part.cpu())) / 1e6


def _count_flops(network: nn.Module, clip: Clips) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(clip)
    return counter.get_total_flops()
