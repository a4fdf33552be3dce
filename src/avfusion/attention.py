"""Attention: where on the face map to look, given the voice.

An attention turns a face map, ``[batch, channels, pictures, rows, columns]``, and an audio vector,
``[batch, audio_dim]``, into a face vector, ``[batch, glimpses * channels]``, and weights,
``[batch, glimpses, positions]``, each glimpse of which sums to one. Any map size works.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.initialisation import he


class ConcatAttention(nn.Module):
    """Score each position by its features beside those of the voice.

    As in the seed network, and in multimodal compact bilinear pooling (Fukui et al., 2016,
    https://arxiv.org/abs/1606.01847), with a concatenation for their product. Tiling the audio
    vector over the map and convolving both equals a convolution of the map plus one linear map of
    the vector, at half the work; that is the form here. The glimpse logits have no bias: the
    softmax cancels it.
    """

    def __init__(self, channels: int, audio_dim: int, hidden: int = 512, glimpses: int = 2) -> None:
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}.")
        self.face_dim = glimpses * channels
        self.face_hidden = nn.Linear(channels, hidden)
        self.audio_hidden = nn.Linear(audio_dim, hidden, bias=False)
        self.glimpse_logits = nn.Linear(hidden, glimpses, bias=False)
        he(self)

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Return the face vector and the weights."""
        positions = face_map.flatten(2).transpose(1, 2)
        hidden = torch.relu(self.face_hidden(positions) + self.audio_hidden(audio)[:, None])
        weights = self.glimpse_logits(hidden).transpose(1, 2).softmax(dim=-1)
        return torch.bmm(weights, positions).flatten(1), weights


class UniformAttention(nn.Module):
    """Look everywhere alike: the control that shows what looking is worth."""

    def __init__(self, channels: int, audio_dim: int, glimpses: int = 1) -> None:
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses must be at least 1, got {glimpses}.")
        self.face_dim = glimpses * channels
        self.glimpses = glimpses

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Return the mean of the map and equal weights."""
        positions = face_map.flatten(2)
        weights = torch.full_like(positions[:, :1], 1 / positions.shape[-1])
        mean = positions.mean(dim=-1).repeat(1, self.glimpses)
        return mean, weights.expand(-1, self.glimpses, -1)
