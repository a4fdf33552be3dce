"""The network of this project: a voice looks at a face, and the two fuse."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.initialization import init_lecun
from avfusion.models.networks.missing_modality import (
    Missing,
    MissingModality,
    ModalityDropout,
    name_stand_in,
)
from avfusion.models.networks.scores import (
    Encoder,
    Imagined,
    ModuleFactory,
    Scores,
    Vectors,
    collect_unimodal,
)


class AttentionFusion(nn.Module):
    r"""Let the voice choose where to look on the face, then fuse what both say.

    face  -> face_encoder -> face map -> attention \
                                            ^        fusion -> head -> logits
    audio -> audio_encoder -> vector ------´-------/

    Where ``missing`` makes an ``Imagination``, the face vector after the glimpses, or the audio
    vector, is imagined from the other; glimpses of a face without a voice are directed by a
    constant. Where the network is ``aligned``, a linear map brings the face vector into the space
    of the audio vector: a shared embedding, which the fusion reads.
    """

    def __init__(
        self,
        face_encoder: Encoder,
        audio_encoder: Encoder,
        attention: ModuleFactory,
        fusion: ModuleFactory,
        head: ModuleFactory,
        modality_dropout: float = 0.0,
        missing: Missing = None,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        audio_dim = audio_encoder.vector_dim
        self.missing = name_stand_in(missing, modality_dropout)
        drops = self.missing == "imagined" and modality_dropout > 0
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.no_face = MissingModality(face_encoder.channels, learned=self.missing == "learned")
        self.no_audio = MissingModality(audio_dim, learned=self.missing == "learned" or drops)
        self.face_encoder = face_encoder
        self.audio_encoder = audio_encoder
        self.attention = attention(face_encoder.channels, audio_dim)
        self.unimodal_dims = face_encoder.channels, audio_dim
        face_dim = self.attention.face_dim
        self.imagination = missing(face_dim, audio_dim) if callable(missing) else None
        self.shared_dim = audio_dim if aligned else None
        self.embed_face = nn.Linear(face_dim, audio_dim) if aligned else nn.Identity()
        init_lecun(self.embed_face)
        self.fusion = fusion(audio_dim if aligned else face_dim, audio_dim)
        self.head = head(self.fusion.dim)

    def forward(self, clips: Clips) -> Scores:
        """Return logits ``[batch, classes]`` and glimpses ``[batch, glimpses, *map size]``."""
        clips = self.modality_dropout(clips)
        _, audio = self.audio_encoder(*clips.sequence(self.audio_encoder.stream))
        audio = self.no_audio(audio, clips.has_audio)
        face_map = self.face_encoder(*clips.read(self.face_encoder.stream))
        face_map = self.no_face(face_map, clips.has_face, clips.all_have_face)
        mask = clips.position_mask(self.face_encoder.stream, face_map.shape[2:])
        face, weights = self.attention(face_map, audio, mask)
        unimodal = collect_unimodal(face_map, mask, audio, clips)
        imagined = self.imagine(face_map, mask, face, audio, clips) if self.training else None
        if self.imagination is not None:
            face, audio = self.imagination(face, audio, clips.has_face, clips.has_audio)
        logits = self.head(self.fusion(self.embed_face(face), audio))
        single = self.answer_by_glimpse(face, audio, weights.shape[1]) if self.training else None
        shared = self.share(face, audio, clips) if self.training else None
        glimpses = weights.unflatten(-1, face_map.shape[2:])
        return Scores(logits, glimpses, single, imagined, shared, unimodal)

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
        return self.head(self.fusion(self.embed_face(alone), audio.expand(n, *audio.shape)))

    def imagine(
        self,
        face_map: Float[Tensor, "batch channels *map"],
        mask: Bool[Tensor, "batch positions"] | None,
        face: Float[Tensor, "batch face_dim"],
        audio: Float[Tensor, "batch audio_dim"],
        clips: Clips,
    ) -> Imagined | None:
        """Imagine both vectors of each clip; the face's glimpses without a voice need no graph."""
        if self.imagination is None:
            return None
        with torch.no_grad():
            voiceless = self.no_audio(audio, torch.zeros_like(clips.has_audio))
            face_alone, _ = self.attention(face_map, voiceless, mask)
        return self.imagination.imagine(face, audio, face_alone, clips.has_face & clips.has_audio)

    def share(
        self,
        face: Float[Tensor, "batch face_dim"],
        audio: Float[Tensor, "batch audio_dim"],
        clips: Clips,
    ) -> Vectors | None:
        """Vectors of both modalities in their shared embedding, where there is one."""
        if self.shared_dim is None:
            return None
        return Vectors(self.embed_face(face), audio, clips.has_face, clips.has_audio)
