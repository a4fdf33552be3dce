import math

import numpy as np
import pytest
import torch

from avfusion.models.layers.power_norm import PowerNorm


@pytest.mark.parametrize("eps", [0, 1e-6, 0.1])
def test_equals_signed_roots_of_length_one_over_the_last_axis(eps):
    z = torch.randn(2, 3, 5, dtype=torch.double)
    roots = np.sign(z.numpy()) * (np.sqrt(np.abs(z.numpy()) + eps) - math.sqrt(eps))
    expected = roots / np.sqrt((roots**2).sum(axis=-1, keepdims=True))
    torch.testing.assert_close(PowerNorm(eps)(z), torch.from_numpy(expected), rtol=1e-12, atol=0)


def slope_at_nothing(eps: float) -> torch.Tensor:
    z = torch.tensor([1.0, 0.0, 1e-12], dtype=torch.double, requires_grad=True)
    PowerNorm(eps)(z)[1:].sum().backward()
    return z.grad[1:]


def test_eps_bounds_the_gradient_where_the_plain_root_has_none():
    length = math.sqrt(1 + 1e-6) - math.sqrt(1e-6)
    steepest = torch.full((2,), 1 / (2 * math.sqrt(1e-6)) / length, dtype=torch.double)
    torch.testing.assert_close(slope_at_nothing(1e-6), steepest, rtol=1e-5, atol=0)
    assert slope_at_nothing(0)[1] > 1e5
    assert slope_at_nothing(0).isfinite().all()


@pytest.mark.parametrize("eps", [0, 1e-6])
def test_zeros_stay_zeros_with_a_finite_gradient(eps):
    z = torch.zeros(2, 4, requires_grad=True)
    normal = PowerNorm(eps)(z)
    normal.sum().backward()
    assert not normal.any()
    assert z.grad.abs().max() <= 1e4


def test_a_negative_eps_is_refused():
    with pytest.raises(ValueError, match=r"0 \(the plain root\) or more, got -1"):
        PowerNorm(-1)
