"""Adversarial losses: a discriminator D tells real vectors from those that a generator G imagines.

Each line of the notes of 2017 is a function here, or a property::

    d_loss_real = mean(cross_entropy(d_logits_real, 1 - smooth))   d_loss_real
    d_loss_fake = mean(cross_entropy(d_logits_fake, 0))            d_loss_fake
    d_loss = d_loss_real + d_loss_fake                             DiscriminatorLosses.total
    g_loss = mean(cross_entropy(d_logits_fake, 1))                 g_loss

``discriminator_losses`` and ``generator_losses`` are the two steps, which alternate: in the first
both kinds of vectors are detached, so that only D learns, in the second the parameters of D are.

A batch may hold no vector at all, as where no clip has both modalities. Every loss is then exactly
zero, with a graph, so that processes whose batches differ still run the same backward passes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call

Logits = Float[Tensor, "batch"] | Float[Tensor, "batch 1"]


def d_loss_real(logits: Logits, smoothing: float = 0.0) -> Float[Tensor, ""]:
    """Binary cross entropy of the discriminator's logits for real vectors.

    With ``smoothing`` their target is ``1 - smoothing``, which keeps D from becoming surer and
    surer; that of imagined vectors stays zero, as D would otherwise reinforce what G does wrong
    (one-sided label smoothing: Salimans et al., 2016, https://arxiv.org/abs/1606.03498).
    """
    check_smoothing(smoothing)
    return _cross_entropy(logits, 1 - smoothing)


def d_loss_fake(logits: Logits) -> Float[Tensor, ""]:
    """Binary cross entropy of the discriminator's logits for imagined vectors, whose target is 0.

    The vectors must have been detached before D saw them, or this loss would train G, too.
    """
    return _cross_entropy(logits, 0.0)


def g_loss(logits: Logits) -> Float[Tensor, ""]:
    """Binary cross entropy of the logits for imagined vectors, which G wants D to take for real.

    Of the two losses in the notes this is ``-log D(G(z))``, not ``log(1 - D(G(z)))``: they have
    the same fixed point, but the gradient of the second vanishes where D is right, which it is at
    first (Goodfellow et al., 2014, https://arxiv.org/abs/1406.2661, section 3).
    """
    return _cross_entropy(logits, 1.0)


class DiscriminatorLosses(NamedTuple):
    """Losses of D, and the share of vectors, real and imagined, that it tells right at logit 0."""

    real: Float[Tensor, ""]
    fake: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]

    @property
    def total(self) -> Float[Tensor, ""]:
        """What D minimizes, without a gradient penalty."""
        return self.real + self.fake


class GeneratorLosses(NamedTuple):
    """Losses of G: ``g_loss``, and the mean absolute difference from the true vectors."""

    adversarial: Float[Tensor, ""]
    l1: Float[Tensor, ""]


def discriminator_losses(
    discriminator: nn.Module,
    real: Float[Tensor, "real dim"],
    fake: Float[Tensor, "fake dim"],
    smoothing: float = 0.0,
    given: Float[Tensor, "real given_dim"] | None = None,
) -> DiscriminatorLosses:
    """Compute the losses of a step of D.

    Both kinds of vectors are detached: the fake ones as in the notes, so that the step leaves no
    gradient in G; the real ones, so that it leaves none in the encoders. D sees them in one pass.
    ``given`` are the vectors that fake ones were imagined from, row by row: a conditional D sees
    them before either kind (Mirza and Osindero, 2014, https://arxiv.org/abs/1411.1784).
    """
    both = discriminator(
        torch.cat([join_given(given, real).detach(), join_given(given, fake).detach()])
    )
    real_logits, fake_logits = both[: len(real)], both[len(real) :]
    right = (real_logits > 0).sum() + (fake_logits <= 0).sum()

    return DiscriminatorLosses(
        d_loss_real(real_logits, smoothing),
        d_loss_fake(fake_logits),
        accuracy=right / max(len(both), 1),
    )


def generator_losses(
    discriminator: nn.Module,
    fake: Float[Tensor, "batch dim"],
    true: Float[Tensor, "batch dim"] | None = None,
    given: Float[Tensor, "batch given_dim"] | None = None,
) -> GeneratorLosses:
    """Compute the losses of a step of G, which changes nothing in D and leaves no gradient there.

    ``true`` are the vectors that G should have imagined, row by row; they are detached. Without
    them ``l1`` is zero. ``given`` are those that it imagined from, where D sees them, too.
    """
    distance = _widen(fake[:0] if true is None else fake - true.detach())
    return GeneratorLosses(
        g_loss(call_frozen(discriminator, join_given(given, fake))),
        l1=distance.abs().sum() / max(distance.numel(), 1),
    )


def r1_penalty(discriminator: nn.Module, real: Float[Tensor, "batch dim"]) -> Float[Tensor, ""]:
    """Half the mean squared length of the gradient of D's logit with respect to a real vector.

    Added to the losses of D with a weight, it makes D flat at the data, near which training then
    converges. It needs a second derivative, which ``torch.compile`` does not offer: compile no D
    that is regularized so. Mescheder et al., 2018, https://arxiv.org/abs/1801.04406.
    """
    vectors = _widen(real.detach()).requires_grad_()
    # Buffers are copied: the power iteration of spectral normalization advances once in a step.
    logits = functional_call(discriminator, _copy_buffers(discriminator), (vectors,))
    (gradient,) = torch.autograd.grad(logits.sum(), vectors, create_graph=True)
    return 0.5 * gradient.square().sum() / max(len(real), 1)


def join_given(given: Tensor | None, vectors: Tensor) -> Tensor:
    """Put what vectors were imagined from, detached, before them; nothing where D is not told."""
    return vectors if given is None else torch.cat([given.detach(), vectors], dim=1)


def call_frozen(module: nn.Module, *inputs: Tensor) -> Tensor:
    """Call a module whose parameters get no gradient and whose buffers stay, but inputs do.

    Nothing of the module is switched off and on again: other passes through it, hooks of DDP and a
    compiled graph never see it in another state.
    """
    parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
    return functional_call(module, parameters | _copy_buffers(module), inputs)


def check_smoothing(smoothing: float) -> None:
    """Refuse a ``smoothing`` with which real vectors would be as good as imagined ones, or worse.

    Raises:
        ValueError: It does not lie in [0, 0.5).
    """
    if not 0 <= smoothing < 0.5:
        raise ValueError(f"smoothing must lie in [0, 0.5), got {smoothing}; 0.1 is usual.")


def _cross_entropy(logits: Tensor, target: float) -> Tensor:
    logits = _widen(logits)  # 0.9 in bfloat16 is 0.898
    targets = torch.full_like(logits, target)
    total = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    return total / max(len(logits), 1)  # a mean that is zero where there is nothing


def _widen(numbers: Tensor) -> Tensor:
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _copy_buffers(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}
