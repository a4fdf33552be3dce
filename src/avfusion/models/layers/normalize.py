"""Normalization of inputs to zero mean and unit variance, by statistics of the training split."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Normalize(nn.Module):
    """Subtract a mean from the last axis and divide by a standard deviation; both are buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if not mean or len(mean) != len(std):
            raise ValueError(
                f"Normalization needs a mean and a deviation per feature, got {len(mean)} and "
                f"{len(std)}: no training clip of the store has what is normalized here. Choose a "
                "model that does without (model=face_only, model=audio_only), or another store."
            )
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(
        self, numbers: Float[Tensor, "*batch features"]
    ) -> Float[Tensor, "*batch features"]:
        """Express numbers in units of their deviation, in the precision that autocast asks for.

        An LSTM given float32 under autocast would take a kernel in bfloat16 that oneDNN has only
        for processors with AVX-512.
        """
        normalized = (numbers - self.mean) / self.std
        half = normalized.is_cpu and torch.is_autocast_enabled("cpu")
        return normalized.to(torch.get_autocast_dtype("cpu")) if half else normalized
