"""Products of every number of one vector with every number of another."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def outer_product(
    face: Float[Tensor, "*batch face_dim"], audio: Float[Tensor, "*batch audio_dim"]
) -> Float[Tensor, "*batch products"]:
    """Return all products, those of the first face number first."""
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
        """Return the sum over all products, each times its weight, plus the bias."""
        return functional.linear(outer_product(face, audio), self.weight.flatten(1), self.bias)
