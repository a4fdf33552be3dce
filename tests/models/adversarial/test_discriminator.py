import numpy as np
import pytest
import torch
from numpy_reference import assert_equal, count_parameters, linear, randomize_parameters

from avfusion.models.adversarial import Discriminator
from avfusion.run.values import check_values


@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_equals_leaky_rectified_layers_in_turn_and_a_linear_one(num_layers):
    discriminator = Discriminator(4, 7, num_layers)
    p = randomize_parameters(discriminator)
    vector = torch.randn(2, 3, 4, dtype=torch.double)

    numbers = vector.numpy()
    for k in range(num_layers):
        numbers = linear(p, f"hidden.{k}", numbers)
        numbers = np.where(numbers > 0, numbers, 0.2 * numbers)
    assert_equal(discriminator(vector), linear(p, "output", numbers)[..., 0])


def test_has_the_layers_that_it_is_asked_for():
    assert count_parameters(Discriminator(4, hidden_dim=7, num_layers=2)) == 5 * 7 + 8 * 7 + 8


@pytest.mark.parametrize("spectral_norm", [False, True])
def test_judges_a_vector_alone_as_in_a_batch(spectral_norm):
    discriminator = Discriminator(4, 7, 2, spectral_norm).double().eval()
    vectors = torch.randn(5, 4, dtype=torch.double)
    torch.testing.assert_close(discriminator(vectors)[2:3], discriminator(vectors[2:3]))


def test_spectral_norm_makes_the_largest_singular_value_one_after_some_steps():
    discriminator = Discriminator(6, 20, 2, spectral_norm=True)
    layers = (*discriminator.hidden, discriminator.output)
    for layer in layers:
        torch.nn.init.normal_(layer.parametrizations.weight.original, std=3)
    for _ in range(100):
        discriminator(torch.randn(1, 6))
    for layer in layers:
        assert torch.linalg.matrix_norm(layer.weight, ord=2).item() == pytest.approx(1, abs=1e-3)


def test_with_spectral_norm_the_logit_changes_no_faster_than_the_vector():
    discriminator = Discriminator(6, 20, 2, spectral_norm=True)
    one, other = torch.randn(2, 500, 6)
    for _ in range(100):
        change = (discriminator(one) - discriminator(other)).abs()
    assert (change <= 1.001 * (one - other).norm(dim=1)).all()


def test_without_spectral_norm_there_is_nothing_but_parameters():
    assert not list(Discriminator(4).buffers())


def test_evaluation_changes_nothing():
    discriminator = Discriminator(4, 7, 2, spectral_norm=True).eval()
    before = [value.clone() for value in discriminator.state_dict().values()]
    discriminator(torch.randn(3, 4))
    after = discriminator.state_dict().values()
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_first_logits_have_the_mean_square_of_the_vectors():
    """The leaky part adds its share to each layer: twice (1 + 0.2 ** 2)."""
    logits = torch.cat([Discriminator(300, 500)(torch.randn(64, 300)) for _ in range(100)])
    assert logits.square().mean().item() == pytest.approx(1.04**2, rel=0.25)


@pytest.mark.parametrize(
    ("name", "value", "minimum"), [("hidden_dim", 0, 1), ("num_layers", -1, 0)]
)
def test_numbers_below_their_minimum_are_refused_by_key(name, value, minimum):
    part = {"_target_": "avfusion.models.adversarial.Discriminator", "_partial_": True, name: value}
    with pytest.raises(ValueError, match=rf"D\.{name} must be at least {minimum}, got {value}"):
        check_values(part, "model.D")
