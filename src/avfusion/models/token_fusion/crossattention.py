"""Cross attention."""

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import MeanPooling, true_frames
from avfusion.models.layers.transformer import Block


class CrossAttentionFusion(nn.Module):
    """In each layer, audio tokens read from the face and face tokens from the voice, at once.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, between two modalities as in Lu et al.,
    2019, https://arxiv.org/abs/1908.02265. The result is the mean of both means; its one
    glimpse is where the true audio tokens looked in the last layer, over heads.
    """

    def __init__(self, dim: int, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}.")
        self.dim = dim
        self.looking = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.listening = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.face_norm = nn.LayerNorm(dim)
        self.audio_norm = nn.LayerNorm(dim)
        self.mean = MeanPooling()

    def forward(
        self,
        face: Float[Tensor, "batch positions dim"],
        audio: Float[Tensor, "batch frames dim"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch glimpses positions"]]:
        """Return the fused vector and the weights."""
        true = true_frames(audio, audio_length)
        for look, listen in zip(self.looking, self.listening, strict=True):
            last = audio, face
            audio, face = look(audio, face), listen(face, audio, true)
        assert isinstance(look, Block)
        weights = self.mean(look.weights(*last), audio_length)
        heard = self.mean(self.audio_norm(audio), audio_length)
        return (heard + self.face_norm(face).mean(dim=1)) / 2, weights[:, None]
