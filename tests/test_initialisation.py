import pytest
import torch
from torch import nn

from avfusion.initialisation import he


@pytest.mark.parametrize("layer", [nn.Linear(900, 400), nn.Conv2d(100, 400, 3, padding=1)])
def test_a_rectified_layer_keeps_the_mean_square_of_its_input(layer):
    he(layer)
    shape = (64, 900) if isinstance(layer, nn.Linear) else (1, 100, 32, 32)
    numbers = torch.randn(shape)
    inner = layer(numbers.relu() * 2**0.5)[..., 1:-1]
    assert inner.square().mean().item() == pytest.approx(2, rel=0.1)


def test_biases_begin_at_zero_and_parts_within_parts_are_drawn():
    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5, bias=False)))
    before = [parameter.clone() for parameter in module.parameters()]
    he(module)
    assert not module[0].bias.any()
    after = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    assert all(not torch.equal(old, new) for old, new in zip(before[::2], after, strict=True))


def test_other_layers_are_left_alone():
    norm, lstm = nn.GroupNorm(2, 4), nn.LSTM(3, 4)
    before = [parameter.clone() for parameter in lstm.parameters()]
    he(nn.ModuleList([norm, lstm]))
    assert (norm.weight == 1).all()
    assert all(torch.equal(old, new) for old, new in zip(before, lstm.parameters(), strict=True))
