import numpy as np
import pytest
import torch

from avfusion.models.layers.count_sketch import CountSketch


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
@pytest.mark.parametrize("bins", [1, 3, 8, 50])
def test_equals_a_loop_over_the_numbers(leading, bins):
    sketch, x = CountSketch(20, bins).double(), torch.randn(*leading, 20, dtype=torch.double)
    expected = np.zeros((*leading, bins))
    for number in range(20):
        bin_of_it, sign = sketch.hashes[number].item(), sketch.signs[number].item()
        expected[..., bin_of_it] += sign * x[..., number].numpy()
    torch.testing.assert_close(sketch(x), torch.from_numpy(expected), rtol=0, atol=1e-12)


def test_hashes_and_signs_are_drawn_from_the_seed_alone_and_kept():
    torch.manual_seed(1)
    first = CountSketch(1000, 16, seed=5).state_dict()
    torch.manual_seed(2)
    state = torch.get_rng_state()
    again, other = (CountSketch(1000, 16, seed=seed).state_dict() for seed in (5, 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in ("hashes", "signs"))
    assert not any(torch.equal(first[name], other[name]) for name in ("hashes", "signs"))


def test_every_bin_and_both_signs_are_about_equally_likely():
    sketch = CountSketch(16_000, 16)
    assert sketch.hashes.dtype == torch.int64
    assert sketch.signs.unique().tolist() == [-1, 1]
    assert sketch.signs.mean().abs() < 0.04
    assert (sketch.hashes.bincount() / 1000 - 1).abs().max() < 0.15


def test_products_of_sketches_are_on_average_products_of_vectors():
    one, other = torch.randn(2, 50, dtype=torch.double)
    products = [
        sketch(one) @ sketch(other)
        for sketch in (CountSketch(50, 200, seed).double() for seed in range(400))
    ]
    error = torch.stack(products).mean() - one @ other
    assert error.abs() < 4 * torch.stack(products).std() / 20


def test_half_precision_is_added_up_in_full():
    sketch, x = CountSketch(4000, 1), torch.rand(4000).bfloat16()
    full = sketch.double()(x.double())
    torch.testing.assert_close(CountSketch(4000, 1)(x).double(), full, rtol=1e-4, atol=1e-2)


def test_a_sketch_without_bins_is_refused():
    with pytest.raises(ValueError, match="at least 1 bin, got 0"):
        CountSketch(5, 0)
