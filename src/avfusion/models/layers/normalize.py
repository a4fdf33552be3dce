"""Normalization of inputs to zero mean and unit variance, by statistics of the training split."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtract a mean from the last axis and divide by a standard deviation; both are buffers.

    Of a stream with ``layers``, mean and deviation are lists of those of each layer, and values are
    ``[batch, layers, time, dim]``. ``dim`` is the number of features, ``layers`` is zero otherwise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[Any], std: Sequence[Any]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std):
            raise ValueError(
                f"Normalization needs a mean and a deviation per feature, got {len(mean)} and "
                f"{len(std)}: no training clip of the store has what is normalized here. Choose a "
                "model that does without (model=face_only, model=audio_only), or another store."
            )
        by_layer = isinstance(mean[0], Sequence)
        self.layers = len(mean) if by_layer else 0
        self.dim = len(mean[0]) if by_layer else len(mean)
        for name, values in (("mean", mean), ("std", std)):
            numbers = torch.tensor(values)
            self.register_buffer(name, numbers[:, None] if by_layer else numbers)

    def forward(
        self, numbers: Float[Tensor, "*batch features"]
    ) -> Float[Tensor, "*batch features"]:
        """Express numbers in units of their deviation, in the precision that autocast asks for."""
        return cast_for_autocast((numbers - self.mean) / self.std)


def cast_for_autocast(numbers: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Cast to the precision that autocast asks for, on a CPU.

    An LSTM given float32 under autocast would take a kernel in bfloat16 that oneDNN has only for
    processors with AVX-512.
    """
    half = numbers.is_cpu and torch.is_autocast_enabled("cpu")
    return numbers.to(torch.get_autocast_dtype("cpu")) if half else numbers
