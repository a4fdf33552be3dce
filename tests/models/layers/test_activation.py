import numpy as np
import pytest
import torch

from avfusion.models.layers.activation import make_activation


def test_activations_are_what_their_names_say():
    z = torch.randn(20, dtype=torch.double)
    expected = {"none": z.numpy(), "relu": z.numpy().clip(min=0), "tanh": np.tanh(z.numpy())}
    for name, values in expected.items():
        torch.testing.assert_close(make_activation(name)(z), torch.from_numpy(values))


def test_an_activation_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match=r"one of \['none', 'relu', 'tanh'\], got 'gelu'"):
        make_activation("gelu")
