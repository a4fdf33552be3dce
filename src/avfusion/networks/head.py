"""From the fused vector to logits."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.initialisation import he


class Head(nn.Module):
    """One hidden layer; ``dropout`` is the probability that a hidden unit is left out."""

    def __init__(
        self, dim: int, class_names: Sequence[str], hidden: int = 400, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if len(class_names) < 2:
            raise ValueError(f"There must be at least 2 classes to tell apart, got {class_names}.")
        if hidden < 1:
            raise ValueError(f"hidden of the head must be at least 1, got {hidden}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout of the head must lie in [0, 1), got {dropout}.")
        self.hidden = nn.Linear(dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(hidden, len(class_names))
        he(self)
        nn.init.normal_(self.logits.weight, std=0.05)  # begin near equal probabilities

    def forward(self, fused: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch classes"]:
        """Return one logit per class."""
        return self.logits(self.dropout(torch.relu(self.hidden(fused))))
