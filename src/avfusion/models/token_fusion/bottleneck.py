"""Attention bottlenecks."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.audio_encoders.pooling import true_frames
from avfusion.models.layers.transformer import Block


class BottleneckFusion(nn.Module):
    """Let the modalities meet in a few tokens only, which both read from and write to.

    Multimodal bottleneck transformer: Nagrani et al., 2021, https://arxiv.org/abs/2107.00135. In
    each layer, each modality attends to itself and to the bottleneck tokens; what the two make of
    these is averaged. All layers are fusion layers here, as encoders go before. The result is the
    mean of the two class tokens (the paper's mean of logits, were the head linear); its one glimpse
    is where the face's class token looked in the last layer, over heads, among the positions.
    """

    def __init__(self, dim: int, layers: int = 3, heads: int = 4, bottlenecks: int = 4) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"What is written is read a layer later: layers >= 2, got {layers}.")
        if bottlenecks < 1:
            raise ValueError(f"bottlenecks must be at least 1, got {bottlenecks}.")
        self.dim = dim
        self.bottlenecks = nn.Parameter(torch.randn(bottlenecks, dim))
        self.face_class = nn.Parameter(torch.randn(1, dim))
        self.audio_class = nn.Parameter(torch.randn(1, dim))
        self.looking = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.listening = nn.ModuleList(Block(dim, heads) for _ in range(layers))
        self.face_norm = nn.LayerNorm(dim)
        self.audio_norm = nn.LayerNorm(dim)

    def forward(
        self,
        face: Float[Tensor, "batch positions dim"],
        audio: Float[Tensor, "batch frames dim"],
        audio_length: Int[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch glimpses positions"]]:
        """Return the fused vector and the weights."""
        count = len(self.bottlenecks)
        # Bottleneck tokens, then the class token, then those of the modality.
        face, audio = self.begin(self.face_class, face), self.begin(self.audio_class, audio)
        true = F.pad(true_frames(audio[:, count + 1 :], audio_length), (count + 1, 0), value=True)
        for look, listen in zip(self.looking, self.listening, strict=True):
            last = face
            face, audio = look(face, face), listen(audio, audio, true)
            shared = (face[:, :count] + audio[:, :count]) / 2
            face, audio = (torch.cat([shared, part[:, count:]], dim=1) for part in (face, audio))
        assert isinstance(look, Block)
        weights = look.weights(last[:, count : count + 1], last)[..., count + 1 :]
        fused = (self.face_norm(face[:, count]) + self.audio_norm(audio[:, count])) / 2
        return fused, weights / weights.sum(dim=-1, keepdim=True)

    def begin(
        self, of_class: Float[Tensor, "1 dim"], tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch more dim"]:
        """Put bottleneck tokens and a class token before those of a modality."""
        first = torch.cat([self.bottlenecks, of_class]).to(tokens.dtype)
        return torch.cat([first.expand(len(tokens), -1, -1), tokens], dim=1)
