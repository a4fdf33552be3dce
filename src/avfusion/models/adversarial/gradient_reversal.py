"""Gradient reversal: the identity, whose gradient has the opposite sign."""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import NonNegativeFloat


class GradientReversal(nn.Module):
    """Pass a vector on as it is, and its gradient back times ``-weight``.

    What stands behind it learns to distinguish two domains, what stands before it learns at the
    same time to make them alike. ``weight``, the lambda of the paper, may be changed between steps.
    Ganin and Lempitsky, 2015, https://arxiv.org/abs/1409.7495.
    """

    def __init__(self, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight of a gradient reversal must be at least 0, got {weight}.")
        self.weight = weight

    def forward(self, vector: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Return the vector."""
        return ReverseGradient.apply(vector, self.weight)


class ReverseGradient(torch.autograd.Function):
    """The identity with a backward pass of its own: the gradient times ``-weight``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(vector: Tensor, weight: float) -> Tensor:
        """Return the vector, as a view: an output that is an input itself would lose its graph."""
        return vector.view_as(vector)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        """Keep the weight for the backward pass."""
        _, ctx.weight = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Turn the gradient round."""
        return -ctx.weight * gradient, None
