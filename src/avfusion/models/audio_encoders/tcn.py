"""Temporal convolutional network."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import frame_mask, make_pooling
from avfusion.models.initialization import init_he
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize


class TCN(nn.Module):
    """Residual convolutions over time, each of which reaches twice as far as the one before.

    Bai et al., 2018, https://arxiv.org/abs/1803.01271, but seeing both past and future, and with
    LayerNorm, whose statistics are those of one frame. ``kernel`` is the width of the filters in
    frames, an odd number. Padding is set to zero before each convolution: that is what a
    convolution finds behind the last frame of a clip without any.
    """

    def __init__(
        self,
        mean: Sequence[Any],
        std: Sequence[Any],
        hidden_dim: int = 256,
        num_layers: int = 4,
        kernel: int = 3,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        if hidden_dim < 1 or num_layers < 1:
            raise ValueError(
                "TCN needs hidden_dim and num_layers of at least 1, "
                f"got {hidden_dim}, {num_layers}."
            )
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it has a middle, got {kernel}.")

        self.stream = stream
        self.dim = hidden_dim
        self.normalize = Normalize(mean, std)
        self.layer_weights = LayerWeights(self.normalize.layers)
        self.enter = nn.Linear(self.normalize.dim, hidden_dim)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(
                hidden_dim,
                hidden_dim,
                kernel,
                padding=kernel // 2 << depth,
                dilation=1 << depth,
            )
            for depth in range(num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in range(num_layers))
        self.pooling = make_pooling(pooling, hidden_dim)
        self.vector_dim = self.pooling.statistics * hidden_dim
        init_he(self)

    def forward(
        self,
        audio: Float[Tensor, "batch *layers frames features"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode a sequence as the sum of all layers at each frame, and a vector."""
        tokens = self.enter(self.layer_weights(audio, self.normalize))
        mask = frame_mask(tokens, audio_length)[..., None]

        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            masked = torch.where(mask, tokens, 0).transpose(1, 2)
            tokens = tokens + torch.relu(norm(convolution(masked).transpose(1, 2)))

        return tokens, self.pooling(tokens, audio_length)
