import numpy as np
import pytest
import torch

from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize


def test_equal_weights_at_first_are_the_mean_of_the_layers():
    values = torch.randn(2, 13, 5, 8, dtype=torch.double)
    torch.testing.assert_close(LayerWeights(13).double()(values), values.mean(dim=1))


def test_weights_are_a_softmax_and_act_as_in_numpy():
    mix, values = LayerWeights(3), torch.randn(2, 3, 5, 4)
    torch.nn.init.normal_(mix.logits)
    exponentials = np.exp(mix.logits.detach().numpy())
    weights = exponentials / exponentials.sum()
    expected = np.einsum("l,bltd->btd", weights, values.numpy())
    torch.testing.assert_close(mix(values), torch.from_numpy(expected))
    torch.testing.assert_close(mix.weights, torch.from_numpy(weights))


def test_layer_norm_brings_layers_of_other_scales_to_one():
    values = torch.randn(2, 3, 5, 64)
    scale = torch.tensor([1.0, 100.0, 0.1])[:, None, None]
    mixed = LayerWeights(3, layer_norm=True)(values * scale + 7 * scale)
    mean, deviation = values.mean(dim=-1, keepdim=True), values.std(-1, False, keepdim=True)
    torch.testing.assert_close(mixed, ((values - mean) / deviation).mean(1), atol=0.01, rtol=0)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_normalization_within_the_sum_is_that_of_each_layer_before_it(layer_norm):
    values = 3 * torch.randn(2, 3, 5, 4) + 1
    normalize = Normalize(torch.randn(3, 4).tolist(), (torch.rand(3, 4) + 0.5).tolist())
    mix = LayerWeights(3, layer_norm)
    torch.nn.init.normal_(mix.logits)
    torch.testing.assert_close(mix(values, normalize), mix(normalize(values)))


@pytest.mark.parametrize("layers", [0, 1])
def test_without_several_layers_there_is_nothing_to_learn(layers):
    mix, frames = LayerWeights(layers), torch.randn(2, 5, 4)
    assert not list(mix.parameters())
    assert torch.equal(mix(frames[:, None] if layers else frames), frames)


def test_layer_norm_of_a_stream_without_layers_is_refused():
    with pytest.raises(ValueError, match="this one has none: leave it out, or prepare the stream"):
        LayerWeights(0, layer_norm=True)
