"""Head: the fused vector becomes the outputs of the target."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.initialization import init_he


class Head(nn.Module):
    """One rectified layer of ``hidden_dim`` units with ``dropout``, and one linear map."""

    def __init__(self, dim: int, outputs: int, hidden_dim: int = 400, dropout: float = 0.0) -> None:
        super().__init__()
        if hidden_dim < 1:
            raise ValueError(f"hidden_dim of the head must be at least 1, got {hidden_dim}.")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout of the head must lie in [0, 1), got {dropout}.")

        self.hidden = nn.Linear(dim, hidden_dim)
        self.dropout = nn.Dropout(dropout)
        self.logits = nn.Linear(hidden_dim, outputs)
        init_he(self)
        nn.init.normal_(self.logits.weight, std=0.05)  # begin near equal probabilities

    def forward(self, fused: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch outputs"]:
        """Compute the outputs of the target, such as a logit per class."""
        return self.logits(self.dropout(torch.relu(self.hidden(fused))))
