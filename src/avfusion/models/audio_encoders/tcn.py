"""Convolutions over time."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import pool, true_frames
from avfusion.models.initialization import he
from avfusion.models.layers.normalize import Standardise


class Conv(nn.Module):
    """Residual convolutions over time, each of which reaches twice as far as the one before.

    Bai et al., 2018, https://arxiv.org/abs/1803.01271, but seeing both past and future, and with
    LayerNorm, whose statistics are those of one frame. Padding is set to zero before each
    convolution: that is what a convolution finds behind the last frame of a clip without any.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        hidden: int = 256,
        layers: int = 4,
        kernel: int = 3,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        self.stream = stream
        if hidden < 1 or layers < 1:
            raise ValueError(f"Conv needs hidden and layers of at least 1, got {hidden}, {layers}.")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, so that it has a middle, got {kernel}.")
        self.dim = self.vector_dim = hidden
        self.standardise = Standardise(mean, std)
        self.enter = nn.Linear(len(mean), hidden)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(hidden, hidden, kernel, padding=kernel // 2 << depth, dilation=1 << depth)
            for depth in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.pooling = pool(pooling, hidden)
        he(self)

    def forward(
        self, audio: Float[Tensor, "batch frames features"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Return the sums of all layers, and the audio vector."""
        true = true_frames(audio, audio_length)[..., None]
        tokens = self.enter(self.standardise(audio))
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            seen = torch.where(true, tokens, 0).transpose(1, 2)
            tokens = tokens + torch.relu(norm(convolution(seen).transpose(1, 2)))
        return tokens, self.pooling(tokens, audio_length)
