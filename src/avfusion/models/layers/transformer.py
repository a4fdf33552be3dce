"""What encoders and fusions of the transformer kind are made of: attention, blocks, positions."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.models.initialization import he


class MultiHeadAttention(nn.Module):
    """Let each token read from a context.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. Keys have no bias: the softmax cancels
    it. ``true`` marks the tokens of the context that are no padding; at least one must be.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"dim must be a multiple of heads, got dim={dim} and heads={heads}.")
        self.heads = heads
        self.queries = nn.Linear(dim, dim)
        self.keys = nn.Linear(dim, dim, bias=False)
        self.values = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
        true: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return what each token has read."""
        queries, keys, values = (
            self.split(part)
            for part in (self.queries(tokens), self.keys(context), self.values(context))
        )
        mask = None if true is None else true[:, None, None]
        read = F.scaled_dot_product_attention(queries, keys, values, mask)
        return self.out(read.transpose(1, 2).flatten(2))

    def weights(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
    ) -> Float[Tensor, "batch tokens context"]:
        """Return how much each token reads from each of a context without padding, over heads."""
        queries, keys = self.split(self.queries(tokens)), self.split(self.keys(context))
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
        return scores.softmax(dim=-1).mean(dim=1)

    def split(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch heads tokens width"]:
        """Return the share of each head."""
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Read from a context, then think each token over on its own.

    Norms come first, so that the tokens themselves are never rescaled: Xiong et al., 2020,
    https://arxiv.org/abs/2002.04745. Tokens and context share a norm; self-attention is the case
    where they are the same.
    """

    def __init__(self, dim: int, heads: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads)
        self.think = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, expansion * dim),
            nn.GELU(),
            nn.Linear(expansion * dim, dim),
        )
        he(self)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
        true: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Return the tokens with what they have read and thought added."""
        tokens = tokens + self.attention(self.norm(tokens), self.norm(context), true)
        return tokens + self.think(tokens)

    def weights(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
    ) -> Float[Tensor, "batch tokens context"]:
        """Return how much each token reads from each of the context, mean over heads."""
        return self.attention.weights(self.norm(tokens), self.norm(context))


def positions(
    size: Sequence[int], dim: int, device: torch.device | None = None
) -> Float[Tensor, "positions dim"]:
    """Return sines and cosines of each coordinate on a grid of any size, in [-1, 1].

    Vaswani et al., 2017, with ``dim`` shared out among the axes; what cannot be shared is zero.
    """
    pairs = dim // (2 * len(size))
    frequencies = 10_000 ** -(torch.arange(pairs, device=device) / max(pairs, 1))
    parts = []
    for coordinate in torch.meshgrid(
        *(torch.arange(steps, device=device) for steps in size), indexing="ij"
    ):
        angles = coordinate.flatten()[:, None] * frequencies
        parts += [angles.sin(), angles.cos()]
    encoded = torch.cat(parts, dim=-1)
    return F.pad(encoded, (0, dim - encoded.shape[-1]))
