"""Cross-attention fusion of tokens."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import MeanPooling, frame_mask
from avfusion.models.layers.transformer import TransformerBlock


class CrossAttentionFusion(nn.Module):
    """In each layer, audio tokens attend to the face and face tokens to the audio, at once.

    Vaswani et al., 2017, https://arxiv.org/abs/1706.03762, between two modalities as in Lu et al.,
    2019, https://arxiv.org/abs/1908.02265. The result is the mean of both means; its one
    glimpse is the attention of the true audio tokens in the last layer, over heads.
    """

    def __init__(self, dim: int, num_layers: int = 2, num_heads: int = 4) -> None:
        super().__init__()
        if num_layers < 1:
            raise ValueError(f"num_layers must be at least 1, got {num_layers}.")

        self.dim = dim
        self.looking = nn.ModuleList(TransformerBlock(dim, num_heads) for _ in range(num_layers))
        self.listening = nn.ModuleList(TransformerBlock(dim, num_heads) for _ in range(num_layers))
        self.face_norm = nn.LayerNorm(dim)
        self.audio_norm = nn.LayerNorm(dim)
        self.mean = MeanPooling()

    def forward(
        self,
        face: Float[Tensor, "batch positions dim"],
        audio: Float[Tensor, "batch frames dim"],
        audio_length: Int[Tensor, "batch"],
        face_mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch glimpses positions"]]:
        """Fuse two token sets into a vector, with the weights of its glimpse."""
        mask = frame_mask(audio, audio_length)

        for look, listen in zip(self.looking, self.listening, strict=True):
            last = audio, face
            audio, face = look(audio, face, face_mask), listen(face, audio, mask)

        assert isinstance(look, TransformerBlock)
        weights = self.mean(look.weights(*last, face_mask), audio_length)
        audio_mean = self.mean(self.audio_norm(audio), audio_length)
        face = self.face_norm(face)
        face_mean = face.mean(dim=1) if face_mask is None else _masked_mean(face, face_mask)
        return (audio_mean + face_mean) / 2, weights[:, None]


def _masked_mean(
    tokens: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "batch tokens"]
) -> Float[Tensor, "batch dim"]:
    return torch.where(mask[..., None], tokens, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
