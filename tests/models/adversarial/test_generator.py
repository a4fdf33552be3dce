import numpy as np
import pytest
import torch
from numpy_reference import assert_equal, count_parameters, linear, randomize_parameters

from avfusion.models.adversarial import Generator
from avfusion.run.values import check_values


@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("noise_dim", [0, 2])
def test_equals_rectified_layers_in_turn_and_a_linear_one(num_layers, noise_dim):
    generator = Generator(4, 6, 7, num_layers, noise_dim)
    p = randomize_parameters(generator)
    vector, noise = (torch.randn(2, 3, dim, dtype=torch.double) for dim in (4, noise_dim))

    numbers = np.concatenate([vector.numpy(), noise.numpy()], axis=-1)
    for k in range(num_layers):
        numbers = linear(p, f"hidden.{k}", numbers).clip(min=0)
    assert_equal(generator(vector, noise), linear(p, "output", numbers))


def test_has_the_layers_that_it_is_asked_for():
    generator = Generator(4, 6, hidden_dim=7, num_layers=2, noise_dim=3)
    assert count_parameters(generator) == (4 + 3 + 1) * 7 + 8 * 7 + 8 * 6


def test_in_training_equal_vectors_are_imagined_in_different_ways():
    generator, vector = Generator(4, 6, noise_dim=3), torch.ones(2, 4)
    one, other = generator(vector)
    assert not torch.allclose(one, other)
    assert not torch.allclose(generator(vector)[0], one)


def test_in_evaluation_noise_is_zero_and_predictions_repeat():
    generator, vector = Generator(4, 6, noise_dim=3).eval(), torch.randn(2, 4)
    assert torch.equal(generator(vector), generator(vector, torch.zeros(2, 3)))
    assert not torch.allclose(generator(vector), generator(vector, torch.ones(2, 3)))


def test_without_noise_no_random_number_is_drawn():
    generator, vector = Generator(4, 6), torch.randn(2, 4)
    before = torch.get_rng_state()
    generator(vector)
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_acts_in_training_only():
    generator, vector = Generator(4, 6, dropout=0.5), torch.randn(2, 4)
    assert not torch.allclose(generator(vector), generator(vector))
    generator.eval()
    assert torch.equal(generator(vector), generator(vector))


def test_vector_and_noise_are_initialized_by_a_fan_in_each():
    generator = Generator(512, 8, hidden_dim=2000, num_layers=1, noise_dim=16)
    vector, noise = generator.hidden[0].weight.split([512, 16], dim=1)
    assert vector.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert noise.std().item() == pytest.approx((2 / 16) ** 0.5, rel=0.02)


def test_imagined_vectors_have_the_mean_square_of_the_vectors_they_are_made_of():
    imagined = Generator(300, 400, hidden_dim=500)(torch.randn(64, 300))
    assert imagined.square().mean().item() == pytest.approx(1, rel=0.15)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_impossible_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match=rf"generator must lie in \[0, 1\), got {dropout}"):
        Generator(4, 6, dropout=dropout)


@pytest.mark.parametrize(
    ("name", "value", "minimum"),
    [("hidden_dim", 0, 1), ("num_layers", -1, 0), ("noise_dim", -1, 0)],
)
def test_numbers_below_their_minimum_are_refused_by_key(name, value, minimum):
    part = {"_target_": "avfusion.models.adversarial.Generator", "_partial_": True, name: value}
    with pytest.raises(
        ValueError, match=rf"generator\.{name} must be at least {minimum}, got {value}"
    ):
        check_values(part, "model.network.missing.generator")
