"""Adversarial parts: a generator imagines vectors, a discriminator detects them.

``avfusion.training.adversary`` holds their losses. A ``Generator`` maps ``[..., in_dim]`` to
``[..., out_dim]``, a ``Discriminator`` ``[..., dim]`` to logits ``[...]``, which are positive for
what it takes for real. ``GradientReversal`` trains what stands before it against what stands
behind it in one step.
"""

from avfusion.models.adversarial.discriminator import Discriminator
from avfusion.models.adversarial.generator import Generator
from avfusion.models.adversarial.gradient_reversal import GradientReversal

__all__ = ["Discriminator", "Generator", "GradientReversal"]
