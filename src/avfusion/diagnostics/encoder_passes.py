"""Encoders that run no more often than they have to, in forward passes over the same clips.

An encoder treats every clip by itself, so that a clip which a batch holds several times need be
encoded once, and one whose encoding is known not at all. Networks without encoders of these names
run as ever.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

ENCODERS = {"face": "face_encoder", "audio": "audio_encoder"}
Encoded = Any  # what an encoder gives: a map, or tokens and a vector


def find_encoders(network: nn.Module) -> dict[str, nn.Module]:
    """Find the encoders of a network by modality."""
    found = {modality: getattr(network, name, None) for modality, name in ENCODERS.items()}
    return {modality: encoder for modality, encoder in found.items() if encoder is not None}


@contextmanager
def encode_once(
    network: nn.Module, rows: Mapping[str, Int64[np.ndarray, "batch"]]
) -> Iterator[None]:
    """Encode each face and each voice once in a batch that repeats them.

    ``rows`` identify by modality which clips of the batch are the same.
    """
    with _hooks() as add:
        for modality, encoder in find_encoders(network).items():
            _, firsts, inverse = np.unique(rows[modality], return_index=True, return_inverse=True)
            add(encoder, _take(firsts), _take(inverse))
        yield


@contextmanager
def record_encoders(network: nn.Module) -> Iterator[dict[str, Encoded]]:
    """Keep what each encoder gives in the next forward pass, by modality."""
    kept: dict[str, Encoded] = {}
    with _hooks() as add:
        for modality, encoder in find_encoders(network).items():
            add(encoder, None, lambda result, name=modality: kept.setdefault(name, result))
        yield kept


@contextmanager
def replay_encoders(network: nn.Module, encoded: Mapping[str, Encoded]) -> Iterator[None]:
    """Let encoders return recorded results; they still run on the first clip."""
    with _hooks() as add:
        for modality, encoder in find_encoders(network).items():
            add(encoder, lambda part: part[:1], lambda _, known=encoded[modality]: known)
        yield


@contextmanager
def _hooks() -> Iterator[Callable[..., None]]:
    """Yield what adds hooks that change every input, and the result, of a module for a while."""
    handles: list[Any] = []

    def add(
        module: nn.Module,
        before: Callable[[Tensor], Tensor] | None,
        after: Callable[[Encoded], Encoded],
    ) -> None:
        if before is not None:
            change = before
            pre = module.register_forward_pre_hook(lambda _, given: tuple(map(change, given)))
            handles.append(pre)
        handles.append(module.register_forward_hook(lambda _, given, result: after(result)))

    try:
        yield add
    finally:
        for handle in handles:
            handle.remove()


def _take(indices: Int64[np.ndarray, "some"]) -> Callable[[Encoded], Encoded]:
    index = torch.from_numpy(indices)

    def take(encoded: Encoded) -> Encoded:
        if isinstance(encoded, tuple):
            return tuple(take(part) for part in encoded)
        return encoded[index.to(encoded.device)]

    return take
