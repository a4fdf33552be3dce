"""Transformer encoder of audio frames."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import frame_mask, make_pooling
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.normalize import Normalize
from avfusion.models.layers.transformer import TransformerBlock, positional_encoding


class Transformer(nn.Module):
    """Self-attention among the true frames, with sinusoidal positions and the norms first.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762.
    """

    def __init__(
        self,
        mean: Sequence[Any],
        std: Sequence[Any],
        hidden_dim: int = 256,
        num_layers: int = 2,
        num_heads: int = 4,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        if hidden_dim < 1 or num_layers < 1:
            raise ValueError(
                "Transformer needs hidden_dim and num_layers of at least 1, "
                f"got {hidden_dim}, {num_layers}."
            )

        self.stream = stream
        self.dim = hidden_dim
        self.normalize = Normalize(mean, std)
        self.layer_weights = LayerWeights(self.normalize.layers)
        self.enter = nn.Linear(self.normalize.dim, hidden_dim)
        self.blocks = nn.ModuleList(
            TransformerBlock(hidden_dim, num_heads) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.pooling = make_pooling(pooling, hidden_dim)
        self.vector_dim = self.pooling.statistics * hidden_dim

    def forward(
        self,
        audio: Float[Tensor, "batch *layers frames features"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode a sequence as the normalized tokens of the last block, and a vector."""
        tokens = self.enter(self.layer_weights(audio, self.normalize))
        mask = frame_mask(tokens, audio_length)
        tokens = tokens + positional_encoding(tokens.shape[1:2], self.dim, audio.device).to(tokens)

        for block in self.blocks:
            tokens = block(tokens, tokens, mask)

        tokens = self.norm(tokens)
        return tokens, self.pooling(tokens, audio_length)
