"""Count sketches: random projections whose scalar products approximate those of the vectors."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class CountSketch(nn.Module):
    """Add each number, with a random sign, to a random bin.

    ``hashes`` (int64, the bin of each number) and ``signs`` (+1 or -1) are drawn from ``seed``
    alone and kept in the checkpoint. Charikar et al., 2002,
    https://doi.org/10.1007/3-540-45465-9_59. On a CPU, adding takes a fraction of the time of a
    product with the matrix that does the same.
    """

    hashes: Tensor
    signs: Tensor

    def __init__(self, features: int, bins: int, seed: int = 0) -> None:
        super().__init__()
        if bins < 1:
            raise ValueError(f"A sketch needs at least 1 bin, got {bins}.")
        self.bins = bins
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("hashes", torch.randint(bins, (features,), generator=generator))
        self.register_buffer("signs", 2.0 * torch.randint(2, (features,), generator=generator) - 1)

    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch bins"]:
        """Sketch the last axis, in float32 or better."""
        x = x.to(torch.promote_types(x.dtype, torch.float32)) * self.signs
        return x.new_zeros(*x.shape[:-1], self.bins).index_add(-1, self.hashes, x)
