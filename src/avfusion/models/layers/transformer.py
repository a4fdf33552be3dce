"""Transformer layers: multi-head attention, blocks, sinusoidal positions."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.models.initialization import init_he


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention of tokens to a context, over several heads.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762. Unlike torch's own, keys have no bias
    (the softmax cancels it, so that it would never learn), and queries and keys have matrices of
    their own, which ``init`` can draw one by one. ``mask`` marks the tokens of the context that are
    no padding; at least one must be.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(
                f"dim must be a multiple of num_heads, got dim={dim} and num_heads={num_heads}."
            )
        self.num_heads = num_heads
        self.queries = nn.Linear(dim, dim)
        self.keys = nn.Linear(dim, dim, bias=False)
        self.values = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
        mask: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Attend to the context."""
        queries, keys, values = (
            self._split_heads(part)
            for part in (self.queries(tokens), self.keys(context), self.values(context))
        )
        by_head = None if mask is None else mask[:, None, None]
        attended = F.scaled_dot_product_attention(queries, keys, values, by_head)
        return self.out(attended.transpose(1, 2).flatten(2))

    def weights(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
        mask: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch tokens context"]:
        """Compute the weights of the context, averaged over heads."""
        queries = self._split_heads(self.queries(tokens))
        keys = self._split_heads(self.keys(context))
        scores = queries @ keys.transpose(-1, -2) / math.sqrt(queries.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
        return scores.softmax(dim=-1).mean(dim=1)

    def _split_heads(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch heads tokens width"]:
        return tokens.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class TransformerBlock(nn.Module):
    """Attention to a context, then an MLP of each token, both with residual connections.

    Norms come first, so that the tokens themselves are never rescaled: Xiong et al., 2020,
    https://arxiv.org/abs/2002.04745. Tokens and context share a norm; self-attention is the case
    where they are the same. ``expansion`` is the width of the MLP in units of ``dim``.
    """

    def __init__(self, dim: int, num_heads: int, expansion: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, num_heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, expansion * dim),
            nn.GELU(),
            nn.Linear(expansion * dim, dim),
        )
        init_he(self)

    def forward(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
        mask: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """Add the output of attention to the tokens, then that of the MLP."""
        tokens = tokens + self.attention(self.norm(tokens), self.norm(context), mask)
        return tokens + self.mlp(tokens)

    def weights(
        self,
        tokens: Float[Tensor, "batch tokens dim"],
        context: Float[Tensor, "batch context dim"],
        mask: Bool[Tensor, "batch context"] | None = None,
    ) -> Float[Tensor, "batch tokens context"]:
        """Compute the attention weights of the context, averaged over heads."""
        return self.attention.weights(self.norm(tokens), self.norm(context), mask)


def positional_encoding(
    size: Sequence[int], dim: int, device: torch.device | None = None
) -> Float[Tensor, "positions dim"]:
    """Encode each coordinate of a grid of any size by sines and cosines, in [-1, 1].

    Vaswani et al., 2017, with ``dim`` shared out among the axes; what cannot be shared is zero.
    """
    pairs = dim // (2 * len(size))
    frequencies = 10_000 ** -(torch.arange(pairs, device=device) / max(pairs, 1))
    steps = (torch.arange(length, device=device) for length in size)

    parts = []
    for coordinate in torch.meshgrid(*steps, indexing="ij"):
        angles = coordinate.flatten()[:, None] * frequencies
        parts += [angles.sin(), angles.cos()]

    encoded = torch.cat(parts, dim=-1)
    return F.pad(encoded, (0, dim - encoded.shape[-1]))
