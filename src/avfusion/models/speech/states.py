"""Hidden states of a speech network."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class SpeechStates(NamedTuple):
    """Hidden states of a batch of sounds, and how many frames of each are true.

    ``blocks`` holds the input of the first block and the output of each one, before any final norm:
    that is ``hidden_states`` of transformers, but for Whisper, whose last entry there is behind it.
    It is empty where blocks are of several widths. ``last`` is the output of the network, behind
    its final norm, and ``pooled`` the network's own vector of a sound, if it has one.
    """

    blocks: list[Float[Tensor, "batch frames dim"]]
    last: Float[Tensor, "batch frames dim"]
    frames: Int[Tensor, "batch"]
    pooled: Float[Tensor, "batch dim"] | None = None


@contextmanager
def record_blocks(blocks: nn.ModuleList) -> Iterator[list[Tensor]]:
    """Record the input of the first block and the output of each one while they run."""
    states: list[Tensor] = []

    def keep_input(block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        states.append(args[0] if args else kwargs["hidden_states"])

    def keep_output(block: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        states.append(output[0] if isinstance(output, tuple) else output)

    hooks = [blocks[0].register_forward_pre_hook(keep_input, with_kwargs=True)]
    hooks += [block.register_forward_hook(keep_output) for block in blocks]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def make_step_mask(length: Int[Tensor, "batch"], steps: int) -> Bool[Tensor, "batch steps"]:
    """Mark the steps of each sound that are no padding."""
    return torch.arange(steps, device=length.device) < length[:, None]
