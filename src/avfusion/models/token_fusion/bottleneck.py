"""Attention bottleneck fusion of tokens."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import frame_mask
from avfusion.models.layers.transformer import TransformerBlock


class BottleneckFusion(nn.Module):
    """Let the modalities meet in a few tokens only, which both read from and write to.

    Multimodal bottleneck transformer: Nagrani et al., 2021, https://arxiv.org/abs/2107.00135. In
    each layer, each modality attends to itself and to the ``bottlenecks`` tokens; what the two make
    of these is averaged. All layers are fusion layers here, as encoders go before. The result is
    the mean of the two class tokens (the paper's mean of logits, were the head linear); its one
    glimpse is the attention of the face's class token in the last layer, over heads, among the
    positions.
    """

    def __init__(
        self, dim: int, num_layers: int = 3, num_heads: int = 4, bottlenecks: int = 4
    ) -> None:
        super().__init__()
        if num_layers < 2:
            raise ValueError(
                f"num_layers must be at least 2, got {num_layers}: what a layer writes to the "
                "bottlenecks is read by the next one."
            )
        if bottlenecks < 1:
            raise ValueError(f"bottlenecks must be at least 1, got {bottlenecks}.")

        self.dim = dim
        self.bottlenecks = nn.Parameter(torch.randn(bottlenecks, dim))
        self.face_class = nn.Parameter(torch.randn(1, dim))
        self.audio_class = nn.Parameter(torch.randn(1, dim))
        self.looking = nn.ModuleList(TransformerBlock(dim, num_heads) for _ in range(num_layers))
        self.listening = nn.ModuleList(TransformerBlock(dim, num_heads) for _ in range(num_layers))
        self.face_norm = nn.LayerNorm(dim)
        self.audio_norm = nn.LayerNorm(dim)

    def forward(
        self,
        face: Float[Tensor, "batch positions dim"],
        audio: Float[Tensor, "batch frames dim"],
        audio_length: Int[Tensor, "batch"],
        face_mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch glimpses positions"]]:
        """Fuse two token sets into a vector, with the weights of its glimpse."""
        # Bottleneck tokens, then the class token, then those of the modality.
        count = len(self.bottlenecks)
        face = self._prepend(self.face_class, face)
        audio = self._prepend(self.audio_class, audio)
        mask = F.pad(frame_mask(audio[:, count + 1 :], audio_length), (count + 1, 0), value=True)
        if face_mask is not None:
            face_mask = F.pad(face_mask, (count + 1, 0), value=True)

        for look, listen in zip(self.looking, self.listening, strict=True):
            last = face
            face, audio = look(face, face, face_mask), listen(audio, audio, mask)
            shared = (face[:, :count] + audio[:, :count]) / 2
            face, audio = (torch.cat([shared, part[:, count:]], dim=1) for part in (face, audio))

        assert isinstance(look, TransformerBlock)
        weights = look.weights(last[:, count : count + 1], last, face_mask)[..., count + 1 :]
        fused = (self.face_norm(face[:, count]) + self.audio_norm(audio[:, count])) / 2
        return fused, weights / weights.sum(dim=-1, keepdim=True)

    def _prepend(
        self, class_token: Float[Tensor, "1 dim"], tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch more dim"]:
        first = torch.cat([self.bottlenecks, class_token]).to(tokens.dtype)
        return torch.cat([first.expand(len(tokens), -1, -1), tokens], dim=1)
