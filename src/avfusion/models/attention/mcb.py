"""Multimodal compact bilinear (MCB) attention."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.models.fusion.mcb import MCBFusion
from avfusion.models.initialization import init_he
from avfusion.models.layers.masked_softmax import masked_softmax
from avfusion.models.layers.position_linear import PositionLinear, list_positions


class MCBAttention(nn.Module):
    """Score each position by the compact bilinear product of its features with the audio vector.

    Fukui et al., 2016, https://arxiv.org/abs/1606.01847: the product in ``bins`` (there 16,000),
    one rectified layer, one linear map. The audio vector is sketched once for all positions; the
    sketches are drawn from ``seed``. The glimpse logits have no bias: the softmax cancels it.
    """

    def __init__(
        self,
        channels: int,
        audio_dim: int,
        hidden_dim: int = 512,
        glimpses: int = 2,
        bins: int = 1024,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}.")

        self.face_dim = glimpses * channels
        self.product = MCBFusion(channels, audio_dim, bins, seed=seed)
        self.hidden = PositionLinear(bins, hidden_dim)
        self.glimpse_logits = nn.Linear(hidden_dim, glimpses, bias=False)
        init_he(self)
        # The product has length one: a mean square of 1 / bins.
        nn.init.normal_(self.hidden.weight, std=2**0.5)

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
        mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Collect a face vector with each glimpse, and the weights."""
        positions = list_positions(face_map)
        face_spectrum = self.product.spectrum(positions, self.product.face_sketch)
        audio_spectrum = self.product.spectrum(audio, self.product.audio_sketch)[:, None]
        product = self.product.convolved(face_spectrum * audio_spectrum)

        hidden = torch.relu(self.hidden(product))
        weights = masked_softmax(self.glimpse_logits(hidden).transpose(1, 2), mask)
        return torch.bmm(weights, positions).flatten(1), weights
