import pytest
import torch
from torch import nn

from avfusion.models.layers.lora import add_lora, merge_lora


class Attention(nn.Module):
    """Projections by the names of transformers, one of which is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.v_proj, self.out_proj = (nn.Linear(6, 6) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        queries = nn.functional.linear(x, self.q_proj.weight, self.q_proj.bias)
        return self.out_proj(queries.softmax(-1) * self.v_proj(x))


@pytest.fixture
def blocks() -> nn.Sequential:
    return nn.Sequential(Attention(), Attention()).requires_grad_(False).double()


def test_at_first_the_output_is_exactly_what_it_was(blocks):
    x = torch.randn(3, 6, dtype=torch.double)
    before = blocks(x)
    assert add_lora(blocks, rank=2, alpha=16.0) == 4
    assert torch.equal(blocks.double()(x), before)


def test_an_update_is_the_product_of_two_narrow_matrices_times_alpha_over_rank(blocks):
    weight = blocks[0].q_proj.weight.clone()
    add_lora(blocks, rank=2, alpha=6.0)
    blocks.double()
    learned = {name: part for name, part in blocks.named_parameters() if part.requires_grad}
    assert len(learned) == 8 and {part.numel() for part in learned.values()} == {12}
    for part in learned.values():
        nn.init.normal_(part)
    start = "0.q_proj.parametrizations.weight.0."
    left, right = (learned[start + name] for name in ("left", "right"))
    torch.testing.assert_close(blocks[0].q_proj.weight, weight + 3.0 * left @ right)


def test_merged_equals_unmerged_and_leaves_plain_linear_maps(blocks):
    x, keys = torch.randn(3, 6, dtype=torch.double), list(blocks.state_dict())
    add_lora(blocks, rank=2, alpha=16.0)
    for part in blocks.parameters():
        if part.requires_grad:
            nn.init.normal_(part)
    before = blocks(x)
    merge_lora(blocks)
    assert torch.equal(blocks(x), before)
    assert sorted(blocks.state_dict()) == sorted(keys)


def test_other_parametrizations_are_not_merged():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    merge_lora(nn.Sequential(layer))
    assert nn.utils.parametrize.is_parametrized(layer, "weight")
