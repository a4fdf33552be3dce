import pytest
import torch
from torch import nn

from avfusion.models.adversarial import Discriminator, GradientReversal


@pytest.fixture
def vector() -> torch.Tensor:
    return torch.randn(3, 2, dtype=torch.double, requires_grad=True)


def test_vectors_pass_as_they_are(vector):
    assert torch.equal(GradientReversal(0.3)(vector), vector)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0, 4.0])
def test_the_gradient_is_that_of_the_identity_times_minus_the_weight(weight, vector):
    GradientReversal(weight)(vector).pow(3).sum().backward()
    torch.testing.assert_close(vector.grad, -weight * 3 * vector.detach().square())


def test_the_weight_may_change_between_steps(vector):
    reverse = GradientReversal(0.0)
    reverse.weight = 0.5
    reverse(vector).sum().backward()
    torch.testing.assert_close(vector.grad, torch.full_like(vector, -0.5))


def test_two_reversals_in_turn_multiply_and_side_by_side_add(vector):
    reverse = GradientReversal(0.5)
    (in_turn,) = torch.autograd.grad(reverse(reverse(vector)).sum(), vector)
    (side_by_side,) = torch.autograd.grad((2 * reverse(vector) + reverse(vector)).sum(), vector)
    torch.testing.assert_close(in_turn, torch.full_like(vector, 0.25))
    torch.testing.assert_close(side_by_side, torch.full_like(vector, -1.5))


def test_second_derivatives_are_reversed_twice(vector):
    """Of y ** 3 with y = x: the first is -w 3 y ** 2, the second -w 6 y times -w."""
    loss = GradientReversal(0.5)(vector).pow(3).sum()
    (first,) = torch.autograd.grad(loss, vector, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), vector)
    torch.testing.assert_close(second, 0.25 * 6 * vector.detach())


def test_works_in_function_transforms(vector):
    reverse = GradientReversal(0.5)
    per_row = torch.func.vmap(torch.func.grad(lambda row: reverse(row).square().sum()))
    torch.testing.assert_close(per_row(vector), -0.5 * 2 * vector)


def test_what_stands_behind_learns_as_before_and_what_stands_before_against_it():
    encoder, discriminator, x = nn.Linear(4, 3), Discriminator(3, 8), torch.randn(5, 4)
    parameters = [*encoder.parameters(), *discriminator.parameters()]

    def gradients(between: nn.Module) -> tuple[torch.Tensor, ...]:
        logits = discriminator(between(encoder(x)))
        return torch.autograd.grad(logits.square().sum(), parameters)

    reversed_, plain = gradients(GradientReversal(0.3)), gradients(nn.Identity())
    torch.testing.assert_close(reversed_[:2], tuple(-0.3 * each for each in plain[:2]))
    torch.testing.assert_close(reversed_[2:], plain[2:])


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_impossible_weights_are_refused(weight):
    with pytest.raises(ValueError, match=rf"reversal must be at least 0, got {weight}"):
        GradientReversal(weight)
