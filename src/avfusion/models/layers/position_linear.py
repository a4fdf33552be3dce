"""Linear map of every position of a map."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.layers.normalize import cast_for_autocast


class PositionLinear(nn.Linear):
    """Map the features of each position, ``[batch, positions, features]``.

    In single precision on a CPU it is computed as a convolution of 1 x 1 over features that lie
    last in memory: oneDNN has kernels of its own for these, whereas torch gives products of
    matrices to MKL, which on a processor of AMD does without AVX-512. Forward and backward pass of
    32 x 196 positions of 512 features took 33 ms of one core instead of 65. The result is a view,
    so leave it as it is: for operations in place on a view, autograd copies the gradient.
    """

    def forward(
        self, input: Float[Tensor, "batch positions features"]
    ) -> Float[Tensor, "batch positions more"]:
        """Multiply, and add the bias."""
        if not _is_convolved(input):
            return super().forward(input)
        row = input.transpose(1, 2).unsqueeze(2)  # of positions, a map that is one position high
        return F.conv2d(row, self.weight[..., None, None], self.bias).squeeze(2).transpose(1, 2)


def _is_convolved(positions: Tensor) -> bool:
    if not positions.is_cpu or positions.dtype != torch.float32:
        return False
    return torch.backends.mkldnn.is_available() and not torch.is_autocast_enabled("cpu")


def list_positions(
    face_map: Float[Tensor, "batch channels *map"],
) -> Float[Tensor, "batch positions channels"]:
    """List the positions of a map, row by row, the channels of each side by side in memory.

    Nothing is copied where the channels of the map lie last in memory, as encoders leave them. On a
    CPU the map has the precision that autocast asks for: several products read it, each of which
    would cast it again.
    """
    positions = face_map.flatten(2).transpose(1, 2)
    return cast_for_autocast(positions).contiguous()
