"""Output of a network, and the types of its parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

ModuleFactory = Callable[..., Any]  # makes a module from the widths of the parts before it
Encoder = Any  # a module with the widths that avfusion.models.*_encoders promise


class Scores(NamedTuple):
    """Outputs, such as a logit per class, and the weights of each glimpse (None without glimpses).

    ``single`` holds, in training, the outputs from each of several glimpses alone.
    """

    logits: Float[Tensor, "batch classes"]
    glimpses: Float[Tensor, "batch glimpses pictures rows columns"] | None
    single: Float[Tensor, "glimpses batch classes"] | None = None
