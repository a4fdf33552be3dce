"""Low-rank adaptation (LoRA) of the linear maps of a frozen network."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

# Queries and values of attention, as in the paper, by the names that transformers gives them.
PROJECTIONS = ("q_proj", "v_proj", "query", "value")


class LowRankUpdate(nn.Module):
    """A matrix plus ``scale`` times the product of two narrow ones, which alone are learned.

    Hu et al., 2021, https://arxiv.org/abs/2106.09685. The left one begins with zeros, so that the
    matrix is at first what it was. As a parametrization it also reaches networks that hand their
    matrices to a fused attention and never call the linear map; merging it is
    ``parametrize.remove_parametrizations``.
    """

    def __init__(self, rows: int, columns: int, rank: int, scale: float) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.zeros(rows, rank))
        self.right = nn.Parameter(torch.empty(rank, columns))
        self.scale = scale
        nn.init.kaiming_uniform_(self.right, a=math.sqrt(5))

    def forward(self, weight: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
        """Add the update."""
        return weight + self.scale * (self.left @ self.right)


def add_lora(blocks: Iterable[nn.Module], rank: int, alpha: float) -> int:
    """Add an update of this rank to each projection of attention in some blocks, and count them.

    Updates are scaled by ``alpha / rank``, so that another rank needs no other learning rate.
    """
    projections = [
        module
        for block in blocks
        for name, module in block.named_modules()
        if name.rpartition(".")[2] in PROJECTIONS and isinstance(module, nn.Linear)
    ]
    for projection in projections:
        rows, columns = projection.weight.shape
        update = LowRankUpdate(rows, columns, rank, alpha / rank)
        parametrize.register_parametrization(projection, "weight", update)
    return len(projections)


def merge_lora(network: nn.Module) -> None:
    """Make each updated matrix of a network an ordinary one, of the same values."""
    for module in list(network.modules()):
        if not parametrize.is_parametrized(module, "weight"):
            continue
        parametrizations: Any = module.parametrizations
        if isinstance(parametrizations.weight[0], LowRankUpdate):
            parametrize.remove_parametrizations(module, "weight")
