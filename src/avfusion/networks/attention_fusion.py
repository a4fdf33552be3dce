"""The network of this project: a voice looks at a face, and the two fuse."""

from torch import nn

from avfusion.data.clips import Clips
from avfusion.networks.scores import Part, Scores


class AttentionFusion(nn.Module):
    r"""Let the voice choose where to look on the face, then fuse what both say.

    face  -> face_encoder -> face map -> attention \
                                            ^        fusion -> head -> logits
    audio -> audio_encoder -> vector ------´-------/
    """

    def __init__(
        self,
        face_encoder: nn.Module,
        audio_encoder: nn.Module,
        attention: Part,
        fusion: Part,
        head: Part,
    ) -> None:
        super().__init__()
        self.face_encoder = face_encoder
        self.audio_encoder = audio_encoder
        self.attention = attention(face_encoder.channels, audio_encoder.vector_dim)
        self.fusion = fusion(self.attention.face_dim, audio_encoder.vector_dim)
        self.head = head(self.fusion.dim)

    def forward(self, clips: Clips) -> Scores:
        """Return logits ``[batch, classes]`` and glimpses ``[batch, glimpses, *map size]``."""
        _, audio = self.audio_encoder(clips.audio, clips.audio_length)
        face_map = self.face_encoder(clips.face)
        face, weights = self.attention(face_map, audio)
        logits = self.head(self.fusion(face, audio))
        return Scores(logits, weights.unflatten(-1, face_map.shape[2:]))
