"""From the fused vector to logits."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.initialization import he


class Head(nn.Module):
    """One hidden layer; ``dropout`` is the probability that a hidden unit is left out."""

    def __init__(self, dim: int, outputs: int, hidden: int = 400, dropout: float = 0.0) -> None:
        super().__init__()
        if hidden < 1:
            raise ValueError(f"hidden of the head must be at least 1, got {hidden}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout of the head must lie in [0, 1), got {dropout}.")
        self.hidden = nn.Linear(dim, hidden)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(hidden, outputs)
        he(self)
        nn.init.normal_(self.logits.weight, std=0.05)  # begin near equal probabilities

    def forward(self, fused: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch outputs"]:
        """Return the outputs of the target, such as a logit per class."""
        return self.logits(self.dropout(torch.relu(self.hidden(fused))))
