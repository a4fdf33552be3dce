"""The network of this project: a voice looks at a face, and the two fuse."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.networks.missing_modality import MissingModality, ModalityDropout
from avfusion.models.networks.scores import Encoder, ModuleFactory, Scores


class AttentionFusion(nn.Module):
    r"""Let the voice choose where to look on the face, then fuse what both say.

    face  -> face_encoder -> face map -> attention \
                                            ^        fusion -> head -> logits
    audio -> audio_encoder -> vector ------´-------/
    """

    def __init__(
        self,
        face_encoder: Encoder,
        audio_encoder: Encoder,
        attention: ModuleFactory,
        fusion: ModuleFactory,
        head: ModuleFactory,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.no_face = MissingModality(face_encoder.channels, learned=modality_dropout > 0)
        self.no_audio = MissingModality(audio_encoder.vector_dim, learned=modality_dropout > 0)
        self.face_encoder = face_encoder
        self.audio_encoder = audio_encoder
        self.attention = attention(face_encoder.channels, audio_encoder.vector_dim)
        self.fusion = fusion(self.attention.face_dim, audio_encoder.vector_dim)
        self.head = head(self.fusion.dim)

    def forward(self, clips: Clips) -> Scores:
        """Return logits ``[batch, classes]`` and glimpses ``[batch, glimpses, *map size]``."""
        clips = self.modality_dropout(clips)
        _, audio = self.audio_encoder(*clips.sequence(self.audio_encoder.stream))
        audio = self.no_audio(audio, clips.has_audio)
        face_map = self.face_encoder(clips.streams[self.face_encoder.stream])
        face_map = self.no_face(face_map, clips.has_face)
        face, weights = self.attention(face_map, audio)
        logits = self.head(self.fusion(face, audio))
        single = self.answer_by_glimpse(face, audio, weights.shape[1]) if self.training else None
        return Scores(logits, weights.unflatten(-1, face_map.shape[2:]), single)

    def answer_by_glimpse(
        self, face: Float[Tensor, "batch face_dim"], audio: Float[Tensor, "batch audio_dim"], n: int
    ) -> Float[Tensor, "glimpses batch classes"] | None:
        """Return the logits from each of ``n`` glimpses, the others being zero; None of only one.

        They cost about a hundredth of a training step of ``model=lowrank``.
        """
        if n == 1:
            return None
        own = torch.eye(n, device=face.device, dtype=face.dtype)
        alone = own.repeat_interleave(face.shape[1] // n, dim=1)[:, None] * face
        return self.head(self.fusion(alone, audio.expand(n, *audio.shape)))
