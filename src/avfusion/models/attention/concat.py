"""Attention by concatenation, that of the seed network."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.models.initialization import init_he
from avfusion.models.layers.masked_softmax import masked_softmax
from avfusion.models.layers.position_linear import PositionLinear, list_positions


class ConcatAttention(nn.Module):
    """Score each position of the map by a rectified layer of its features and the audio vector.

    As in the seed network, and in multimodal compact bilinear pooling (Fukui et al., 2016,
    https://arxiv.org/abs/1606.01847), with a concatenation for their product. Tiling the audio
    vector over the map and convolving both equals a convolution of the map plus one linear map of
    the vector, at half the work; that is the form here. The glimpse logits have no bias: the
    softmax cancels it.

    For parity with the seed, ``logit_relu`` cuts logits off below zero, and ``logit_dropout`` is
    the probability that in training all logits of a glimpse become zero, which makes it uniform.
    """

    def __init__(
        self,
        channels: int,
        audio_dim: int,
        hidden_dim: int = 512,
        glimpses: int = 2,
        logit_relu: bool = False,
        logit_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}.")
        if hidden_dim < 1:
            raise ValueError(f"hidden_dim of the attention must be at least 1, got {hidden_dim}.")

        self.face_dim = glimpses * channels
        self.face_hidden = PositionLinear(channels, hidden_dim)
        self.audio_hidden = nn.Linear(audio_dim, hidden_dim, bias=False)
        self.glimpse_logits = nn.Linear(hidden_dim, glimpses, bias=False)
        self.logit_relu = nn.ReLU() if logit_relu else nn.Identity()
        self.logit_dropout = nn.Dropout1d(logit_dropout)  # of maps whose positions lie in a row
        init_he(self)

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
        mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Collect a face vector with each glimpse, and the weights."""
        positions = list_positions(face_map)
        hidden = (self.face_hidden(positions) + self.audio_hidden(audio)[:, None]).relu_()
        logits = self.logit_relu(self.glimpse_logits(hidden)).transpose(1, 2)
        weights = masked_softmax(self.logit_dropout(logits), mask)
        return torch.bmm(weights, positions).flatten(1), weights
