"""Power normalization of a fused vector: signed roots and the L2 norm."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PowerNorm(nn.Module):
    """Take the signed square root of each number, then divide by the L2 norm over the last axis.

    The root is ``sign(z) * (sqrt(|z| + eps) - sqrt(eps))``, written as a quotient that loses no
    digits. The gradient of the plain root, ``eps=0``, has no bound, and numbers that are zero in
    theory are 1e-8 after a Fourier transform; ``eps`` keeps it below ``1 / (2 * sqrt(eps))``.
    Perronnin et al., 2010, https://doi.org/10.1007/978-3-642-15561-1_11.
    """

    def __init__(self, eps: float = 1e-6) -> None:
        super().__init__()
        if eps < 0:
            raise ValueError(f"eps must be 0 (the plain root) or more, got {eps}.")
        self.eps = eps

    def forward(self, z: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Normalize to length one; a vector of zeros stays one."""
        size = z.abs() + self.eps
        if self.eps == 0:
            size = torch.where(size > 0, size, 1)  # at zero, the plain root would have no gradient

        root = z / (size.sqrt() + self.eps**0.5)
        length = torch.linalg.vector_norm(root, dim=-1, keepdim=True)
        return root / torch.where(length > 0, length, 1)
