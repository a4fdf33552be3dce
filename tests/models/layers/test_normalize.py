import numpy as np
import pytest
import torch

from avfusion.models.layers.normalize import Normalize


def test_numbers_normalized_by_their_own_statistics_have_mean_zero_and_deviation_one():
    numbers = np.random.default_rng(0).normal([5, -3, 100], [0.1, 2, 30], (400, 3))
    normalize = Normalize(numbers.mean(axis=0).tolist(), numbers.std(axis=0).tolist())
    standard = normalize(torch.from_numpy(numbers.astype(np.float32)))
    torch.testing.assert_close(standard.mean(dim=0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard.std(dim=0, correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_acts_on_the_last_axis_whatever_comes_before():
    normalize = Normalize([1.0, 2.0], [2.0, 4.0])
    numbers = torch.tensor([3.0, 10.0]).expand(4, 5, 2)
    torch.testing.assert_close(normalize(numbers), torch.tensor([1.0, 2.0]).expand(4, 5, 2))


def test_each_layer_of_a_stream_has_statistics_of_its_own():
    normalize = Normalize([[1.0, 2.0], [0.0, -1.0], [3.0, 3.0]], [[2.0, 4.0], [1.0, 1.0], [1.0, 2]])
    assert (normalize.layers, normalize.dim) == (3, 2)
    values = torch.randn(5, 3, 7, 2)
    expected = values.clone()
    for layer, statistics in enumerate(zip(normalize.mean, normalize.std, strict=True)):
        mean, std = (numbers.squeeze(0) for numbers in statistics)
        expected[:, layer] = (values[:, layer] - mean) / std
    torch.testing.assert_close(normalize(values), expected)
    assert Normalize([1.0], [2.0]).layers == 0


def test_the_statistics_travel_with_the_weights_and_are_not_learned():
    normalize = Normalize([1.0], [2.0])
    assert not list(normalize.parameters())
    other = Normalize([0.0], [1.0])
    other.load_state_dict(normalize.state_dict())
    assert other(torch.tensor([5.0])) == 2


@pytest.mark.parametrize(("mean", "std"), [([], []), ([1.0], [1.0, 2.0])])
def test_statistics_that_do_not_fit_are_refused(mean, std):
    with pytest.raises(ValueError, match=f"got {len(mean)} and {len(std)}"):
        Normalize(mean, std)


def test_the_output_has_the_precision_of_autocast():
    normalize, numbers = Normalize([1.0], [2.0]), torch.tensor([5.0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert normalize(numbers).dtype == torch.bfloat16
    assert normalize(numbers).dtype == torch.float32
