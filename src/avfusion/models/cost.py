"""Size and compute cost of a network."""

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode  # as torch's own counter is made
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from avfusion.data.batch import Clips

# Larger networks are counted without being computed. Smaller ones are computed faster: without
# numbers, torch takes each step of a recurrence apart in Python, 0.2 s for the LSTMs of one clip
# instead of 0.03 s, and loads what does so for another second.
MAX_COMPUTED_PARAMETERS = 20_000_000


def count_parameters(module: nn.Module) -> int:
    """Count all parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_megaflops(network: nn.Module, clips: Clips) -> float:
    """Count millions of multiplications and additions in the forward pass of one clip.

    Elementwise operations and Fourier transforms do not count.
    """
    clip = clips.map(lambda part: part[:1])
    if count_parameters(network) > MAX_COMPUTED_PARAMETERS:
        with suppress(RuntimeError, NotImplementedError):  # networks that ask how long a sound is
            described = _copy_for_evaluation(network).to("meta")
            return _count_flops(described, clip.map(lambda part: part.to("meta"))) / 1e6

    with _without_fused_kernels():
        copied = _copy_for_evaluation(network).cpu()
        return _count_flops(copied, clip.map(lambda part: part.cpu())) / 1e6


def _copy_for_evaluation(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False).float()


class StepCost(NamedTuple):
    """Floating-point operations of a training step, and the bytes that its operations touch."""

    flops: int
    traffic: int


def count_step(
    module: nn.Module, clips: Clips, compute_loss: Callable[[nn.Module, Clips], Tensor]
) -> StepCost:
    """Count the cost of the forward and the backward pass of one batch, without the optimizer.

    FLOPs are the multiplications and additions of products and convolutions; elementwise
    operations and Fourier transforms do not count. Traffic is what all operations read and write
    if no cache keeps anything between two of them. Neither depends on the device: nothing is
    computed, but of networks that ask for numbers.
    """
    copied = copy.deepcopy(module).float()
    try:
        meta = clips.map(lambda part: part.to("meta"))
        return _count_step(copied.to("meta"), meta, compute_loss)
    except (RuntimeError, NotImplementedError):  # networks that ask how long a sound is
        copied = copy.deepcopy(module).float().cpu()

    with _without_fused_kernels():
        return _count_step(copied, clips.map(lambda part: part.cpu()), compute_loss)


def _count_step(
    module: nn.Module, clips: Clips, compute_loss: Callable[[nn.Module, Clips], Tensor]
) -> StepCost:
    with FlopCounterMode(display=False) as counter, _TrafficCounter() as traffic:
        compute_loss(module, clips).backward()
    return StepCost(counter.get_total_flops(), traffic.bytes)


class _TrafficCounter(TorchDispatchMode):
    """Add up the bytes of all tensors that operations read and write; views cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [x for x in tree_leaves((args, kwargs, result)) if isinstance(x, Tensor)]
            self.bytes += sum(tensor.nbytes for tensor in tensors)
        return result


@contextmanager
def _without_fused_kernels() -> Iterator[None]:
    """On a CPU, torch's counter takes LSTMs and attention for free where kernels are fused."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings(action="ignore"))  # of TF32 on Intel's GPUs
        stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        yield


def _count_flops(network: nn.Module, clip: Clips) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(clip)
    return counter.get_total_flops()
