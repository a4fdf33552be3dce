"""A transformer."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import pool, true_frames
from avfusion.models.layers.normalize import Standardise
from avfusion.models.layers.transformer import Block, positions


class Transformer(nn.Module):
    """Let each frame read from all true frames, layer by layer; positions are sines and cosines.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, with the norms first.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        hidden: int = 256,
        layers: int = 2,
        heads: int = 4,
        pooling: str = "mean",
        stream: str = "mfcc",
    ) -> None:
        super().__init__()
        self.stream = stream
        if hidden < 1 or layers < 1:
            raise ValueError(
                f"Transformer needs hidden and layers of at least 1, got {hidden}, {layers}."
            )
        self.dim = self.vector_dim = hidden
        self.standardise = Standardise(mean, std)
        self.enter = nn.Linear(len(mean), hidden)
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)
        self.pooling = pool(pooling, hidden)

    def forward(
        self, audio: Float[Tensor, "batch frames features"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Return what the uppermost layer makes of each frame, and the audio vector."""
        true = true_frames(audio, audio_length)
        tokens = self.enter(self.standardise(audio))
        tokens = tokens + positions(audio.shape[1:2], self.dim, audio.device).to(tokens)
        for block in self.blocks:
            tokens = block(tokens, tokens, true)
        tokens = self.norm(tokens)
        return tokens, self.pooling(tokens, audio_length)
