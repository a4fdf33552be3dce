"""How much each class counts in a loss."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def class_weights(
    class_counts: Sequence[int], weights: Sequence[float] | str | None
) -> Float[Tensor, "classes"] | None:
    """Return a weight per class, ``balanced`` ones from the number of training clips of each."""
    if weights is None:
        return None
    if weights == "balanced":
        occurring = sum(count > 0 for count in class_counts)
        each = sum(class_counts) / max(occurring, 1)
        weights = [each / count if count else 0.0 for count in class_counts]
    if (
        isinstance(weights, str)
        or len(weights) != len(class_counts)
        or not all(0 <= weight < math.inf for weight in weights)
    ):
        raise ValueError(
            f"loss.weights must be null, balanced or {len(class_counts)} numbers of at least 0, "
            f"got {weights!r}."
        )
    return torch.tensor(weights, dtype=torch.float32)
