import math

import numpy as np
import pytest
import torch
from torch import nn

from avfusion.models.layers.transformer import (
    MultiHeadAttention,
    TransformerBlock,
    positional_encoding,
)


def tokens(count: int) -> torch.Tensor:
    return torch.randn(3, count, 8, dtype=torch.double)


def torchs(attention: MultiHeadAttention) -> nn.MultiheadAttention:
    """torch's own attention with the same weights, and no bias of keys."""
    theirs = nn.MultiheadAttention(8, attention.num_heads, batch_first=True).double()
    parts = (attention.queries, attention.keys, attention.values)
    biases = [attention.queries.bias, torch.zeros(8), attention.values.bias]
    state = {"in_proj_weight": torch.cat([part.weight for part in parts])}
    state |= {"in_proj_bias": torch.cat(biases), "out_proj.weight": attention.out.weight}
    theirs.load_state_dict(state | {"out_proj.bias": attention.out.bias})
    return theirs


@pytest.mark.parametrize("num_heads", [1, 4])
def test_equals_torchs_attention_with_and_without_padding(num_heads):
    attention, query, context = MultiHeadAttention(8, num_heads).double(), tokens(5), tokens(7)
    true = torch.arange(7) < torch.tensor([7, 2, 4])[:, None]
    for mask in (None, true):
        padding = None if mask is None else ~mask
        theirs, weights = torchs(attention)(query, context, context, key_padding_mask=padding)
        torch.testing.assert_close(attention(query, context, mask), theirs, rtol=0, atol=1e-12)
        if mask is None:
            ours = attention.weights(query, context)
            torch.testing.assert_close(ours, weights, rtol=0, atol=1e-12)


def test_a_block_adds_attention_and_then_its_mlp():
    block, query, context = TransformerBlock(8, num_heads=2).double(), tokens(5), tokens(7)
    norm, attention = block.norm, torchs(block.attention)
    read = query + attention(norm(query), norm(context), norm(context))[0]
    before, first, _, last = block.mlp
    hidden = first(before(read))
    gelu = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    torch.testing.assert_close(block(query, context), read + last(gelu), rtol=0, atol=1e-12)
    weights = attention(norm(query), norm(context), norm(context))[1]
    torch.testing.assert_close(block.weights(query, context), weights, rtol=0, atol=1e-12)


def test_positions_are_sines_and_cosines_of_each_coordinate():
    grid = positional_encoding((2, 3, 4), 26).numpy()
    assert grid.shape == (24, 26)
    for row, place in zip(grid, np.ndindex(2, 3, 4), strict=True):
        expected = []
        for coordinate in place:
            angles = [coordinate / 10_000 ** (k / 4) for k in range(4)]
            expected += [*map(math.sin, angles), *map(math.cos, angles)]
        np.testing.assert_allclose(row, [*expected, 0, 0], atol=1e-6)


@pytest.mark.parametrize("size", [(500,), (1, 14, 14), (4, 7, 5)])
def test_no_two_positions_are_alike(size):
    grid = positional_encoding(size, 32)
    distance = torch.cdist(grid, grid) + torch.eye(len(grid))
    assert distance.min() > 0.05


@pytest.mark.parametrize(("dim", "num_heads"), [(8, 3), (8, 0)])
def test_a_width_that_is_no_multiple_of_the_heads_is_refused(dim, num_heads):
    with pytest.raises(ValueError, match=f"got dim={dim} and num_heads={num_heads}"):
        MultiHeadAttention(dim, num_heads)
