"""Claims about linear maps of the positions of a face map."""

import pytest
import torch
from torch import nn

from avfusion.models.layers.position_linear import PositionLinear, list_positions


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bias", [True, False])
def test_a_map_of_positions_is_a_linear_map_with_the_same_gradients(dtype, bias):
    ours, plain = PositionLinear(6, 5, bias).to(dtype), nn.Linear(6, 5, bias).to(dtype)
    plain.load_state_dict(ours.state_dict())
    given = torch.randn(3, 7, 6, dtype=dtype, requires_grad=True)
    cotangent = torch.randn(3, 7, 5, dtype=dtype)
    for inputs in (given, given[:1], given[:, :1]):
        results = [layer(inputs) for layer in (ours, plain)]
        torch.testing.assert_close(*results)
        given_back = cotangent[: len(inputs), : inputs.shape[1]]
        gradients = [
            torch.autograd.grad(result, [given, *layer.parameters()], given_back)
            for layer, result in zip((ours, plain), results, strict=True)
        ]
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)


def test_positions_of_a_map_whose_channels_lie_last_are_not_copied():
    maps = torch.randn(2, 5, 3, 4)
    listed = list_positions(maps.unsqueeze(2))
    assert listed.is_contiguous() and torch.equal(listed, maps.flatten(2).transpose(1, 2))
    last = maps.contiguous(memory_format=torch.channels_last).unsqueeze(2)
    assert list_positions(last).data_ptr() == last.data_ptr()
    with torch.autocast("cpu", torch.bfloat16):
        assert list_positions(last).dtype == torch.bfloat16
