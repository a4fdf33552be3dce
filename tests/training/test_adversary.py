import math
from copy import deepcopy
from functools import partial

import jaxtyping
import pytest
import torch
from torch import nn

from avfusion.models.adversarial import Discriminator, Generator
from avfusion.training.adversary import (
    d_loss_fake,
    d_loss_real,
    discriminator_losses,
    g_loss,
    generator_losses,
    r1_penalty,
)

LOGITS = torch.tensor([0.0, math.log(3)])  # of probabilities 1/2 and 3/4
LN2, LN3 = math.log(2), math.log(3)


@pytest.fixture(params=[False, True], ids=["plain", "spectral_norm"])
def discriminator(request) -> Discriminator:
    return Discriminator(5, 8, 2, spectral_norm=request.param)


class Imagination(nn.Module):
    """Encoders of both modalities, and a generator from one to the other."""

    def __init__(self) -> None:
        super().__init__()
        self.face_encoder, self.audio_encoder = nn.Linear(6, 5), nn.Linear(4, 3)
        self.generator = Generator(3, 5, 8)

    def forward(self, clips: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
        audio = self.audio_encoder(torch.randn(clips, 4))
        return self.face_encoder(torch.randn(clips, 6)), self.generator(audio)


def has_gradient(module: nn.Module) -> list[bool]:
    return [parameter.grad is not None for parameter in module.parameters()]


def gradients(module: nn.Module) -> list[torch.Tensor | None]:
    return [parameter.grad for parameter in module.parameters()]


def states_equal(module: nn.Module, before: dict[str, torch.Tensor]) -> bool:
    now = module.state_dict()
    return all(torch.equal(now[name], value) for name, value in before.items())


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_losses_equal_those_worked_by_hand(shape):
    """Of a probability 3/4 against 0.9: 0.9 ln(4/3) + 0.1 ln 4 = 2 ln 2 - 0.9 ln 3."""
    logits = LOGITS.view(shape)
    assert d_loss_real(logits).item() == pytest.approx((LN2 + 2 * LN2 - LN3) / 2)
    assert d_loss_real(logits, 0.1).item() == pytest.approx((LN2 + 2 * LN2 - 0.9 * LN3) / 2)
    assert d_loss_real(logits, 0.1).item() == pytest.approx(0.54535, abs=1e-5)
    assert d_loss_fake(logits).item() == pytest.approx((LN2 + 2 * LN2) / 2)
    assert g_loss(logits).item() == pytest.approx((LN2 + 2 * LN2 - LN3) / 2)


def test_with_smoothing_a_discriminator_is_best_at_the_smoothed_probability():
    logits = torch.tensor([math.log(9)], requires_grad=True)  # of 0.9
    d_loss_real(logits, smoothing=0.1).backward()
    assert logits.grad.item() == pytest.approx(0, abs=1e-7)


def test_gradient_of_the_generator_does_not_vanish_where_the_discriminator_is_sure():
    logits = torch.tensor([-30.0], requires_grad=True)
    g_loss(logits).backward()
    assert logits.grad.item() == pytest.approx(-1)


@pytest.mark.parametrize("loss", [d_loss_real, d_loss_fake, g_loss])
def test_losses_of_extreme_logits_are_finite(loss):
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    value = loss(logits)
    value.backward()
    assert value.item() == pytest.approx(5e3) and logits.grad.isfinite().all()


def test_targets_are_not_rounded_to_the_precision_of_logits():
    loss = d_loss_real(torch.tensor([2.0], dtype=torch.bfloat16), smoothing=0.1)
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-2)) + 0.1 * 2)


@pytest.mark.parametrize("smoothing", [-0.1, 0.5, 1.0, float("nan")])
def test_smoothing_outside_its_range_is_refused(smoothing):
    with pytest.raises(ValueError, match=rf"must lie in \[0, 0\.5\), got {smoothing}; 0\.1 is"):
        d_loss_real(LOGITS, smoothing)


def test_accuracy_counts_real_vectors_above_zero_and_others_below():
    real = torch.tensor([[2.0], [-1.0], [3.0]])
    fake = torch.tensor([[-1.0], [0.5], [-2.0], [-0.1]])
    losses = discriminator_losses(nn.Identity(), real, fake)
    assert losses.accuracy.item() == pytest.approx(5 / 7)


def test_losses_of_the_discriminator_are_those_of_each_kind_alone(discriminator):
    real, fake = torch.randn(4, 5), torch.randn(6, 5)
    losses = discriminator_losses(discriminator.eval(), real, fake, smoothing=0.2)
    torch.testing.assert_close(losses.real, d_loss_real(discriminator(real), 0.2))
    torch.testing.assert_close(losses.fake, d_loss_fake(discriminator(fake)))
    torch.testing.assert_close(losses.total, losses.real + losses.fake)


def test_the_step_of_the_discriminator_leaves_no_gradient_in_encoders_and_generator(discriminator):
    imagination = Imagination()
    real, fake = imagination()
    losses = discriminator_losses(discriminator, real, fake, smoothing=0.1)
    (losses.total + r1_penalty(discriminator, real)).backward()
    assert not any(has_gradient(imagination))
    assert all(gradient.any() for gradient in gradients(discriminator))


def test_the_step_of_the_generator_leaves_the_discriminator_as_it_was(discriminator):
    imagination, before = Imagination(), deepcopy(discriminator.state_dict())
    real, fake = imagination()
    losses = generator_losses(discriminator, fake, real)
    (losses.adversarial + losses.l1).backward()
    assert not any(has_gradient(discriminator))
    assert states_equal(discriminator, before)
    assert all(parameter.requires_grad for parameter in discriminator.parameters())
    assert all(gradient.any() for gradient in gradients(imagination.generator))
    assert not any(has_gradient(imagination.face_encoder))  # what is true is only compared with


def test_the_generator_gets_the_gradient_that_a_learning_discriminator_would_give(discriminator):
    fake = torch.randn(4, 5, requires_grad=True)
    (ours,) = torch.autograd.grad(generator_losses(discriminator, fake).adversarial, fake)
    (expected,) = torch.autograd.grad(g_loss(discriminator(fake)), fake)
    torch.testing.assert_close(ours, expected)


def test_l1_is_the_mean_absolute_difference_from_the_true_vectors():
    fake, true = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    losses = generator_losses(nn.Linear(2, 1), fake, true)
    assert losses.l1.item() == pytest.approx((0 + 2 + 3 + 1) / 4)
    assert generator_losses(nn.Linear(2, 1), fake).l1.item() == 0


def test_losses_of_no_vector_are_zero_and_reach_every_parameter(discriminator):
    imagination = Imagination()
    real, fake = imagination(clips=0)
    losses = discriminator_losses(discriminator, real, fake, smoothing=0.1)
    d_loss = losses.total + r1_penalty(discriminator, real)
    losses_of_g = generator_losses(discriminator, fake, real)
    both = losses_of_g.adversarial + losses_of_g.l1
    d_loss.backward()
    both.backward()
    assert d_loss.item() == both.item() == losses.accuracy.item() == 0
    learned = gradients(discriminator) + gradients(imagination.generator)
    assert all(torch.equal(gradient, torch.zeros_like(gradient)) for gradient in learned)


def test_r1_of_a_linear_discriminator_is_half_the_squared_norm_of_its_weights():
    linear = nn.Linear(5, 1)
    penalty = r1_penalty(linear, torch.randn(7, 5))
    penalty.backward()
    torch.testing.assert_close(penalty, linear.weight.square().sum() / 2)
    torch.testing.assert_close(linear.weight.grad, linear.weight.detach())


def test_r1_averages_squared_lengths_over_the_vectors():
    """D(x) = a |x|^2 / 2 has the gradient a x."""

    class Quadratic(nn.Module):
        def forward(self, vector: torch.Tensor) -> torch.Tensor:
            return 3 * vector.square().sum(-1) / 2

    real = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert r1_penalty(Quadratic(), real).item() == pytest.approx(9 * (5 + 25) / 2 / 2)


def test_the_power_iteration_advances_once_in_a_step_with_r1():
    discriminator = Discriminator(5, 8, 2, spectral_norm=True)
    once, real = deepcopy(discriminator), torch.randn(4, 5)
    once(real)
    discriminator_losses(discriminator, real, real)
    r1_penalty(discriminator, real)
    assert states_equal(discriminator, once.state_dict())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_steps_are_the_same_in_a_compiled_graph(discriminator, monkeypatch):
    """Both steps in graphs without a break; ``aot_eager`` traces them and generates no code."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checks cannot be traced
    real, fake = torch.randn(4, 5), torch.randn(4, 5)
    compile = partial(torch.compile, backend="aot_eager", fullgraph=True)
    ours, compiled = discriminator, deepcopy(discriminator)

    losses = compile(generator_losses)(compiled, fake, real)
    torch.testing.assert_close(losses, generator_losses(ours, fake, real))
    losses = compile(discriminator_losses)(compiled, real, fake, 0.1)
    torch.testing.assert_close(losses, discriminator_losses(ours, real, fake, 0.1))
    assert states_equal(compiled, ours.state_dict())
