"""Outer product of two vectors, and bilinear maps."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def outer_product(
    face: Float[Tensor, "*batch face_dim"], audio: Float[Tensor, "*batch audio_dim"]
) -> Float[Tensor, "*batch products"]:
    """Multiply each number of one vector with each of the other, the first face number first."""
    return (face.unsqueeze(-1) * audio.unsqueeze(-2)).flatten(-2)


class BilinearMap(nn.Bilinear):
    """Map two vectors by a full tensor, ``[dim, face_dim, audio_dim]``: torch's own, but fast.

    As one matrix product with the outer product, a map of 49 x 49 to 49 takes a hundredth of the
    time, and autocast works. Weights are drawn so that the mean square of the products stays.
    """

    def reset_parameters(self) -> None:
        """Draw the weights; set biases to zero."""
        nn.init.normal_(self.weight, std=(self.in1_features * self.in2_features) ** -0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Sum all products, each times its weight, and the bias."""
        return functional.linear(outer_product(face, audio), self.weight.flatten(1), self.bias)
