"""Unimodal controls: networks that read the face alone or the voice alone."""

import torch
from torch import nn

from avfusion.bounds import PositiveInt
from avfusion.data.batch import Clips
from avfusion.models.networks.missing_modality import (
    Missing,
    MissingModality,
    ModalityDropout,
    name_stand_in,
)
from avfusion.models.networks.scores import Encoder, ModuleFactory, Scores


class FaceOnly(nn.Module):
    """Attend to the face map without a voice: a learned query stands in for the audio vector."""

    def __init__(
        self,
        face_encoder: Encoder,
        attention: ModuleFactory,
        head: ModuleFactory,
        query_dim: PositiveInt = 512,
        modality_dropout: float = 0.0,
        missing: Missing = None,
    ) -> None:
        super().__init__()
        self.missing = name_stand_in(missing, modality_dropout, imagines=False)
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.no_face = MissingModality(face_encoder.channels, learned=self.missing == "learned")
        self.face_encoder = face_encoder
        self.attention = attention(face_encoder.channels, query_dim)
        self.query = nn.Parameter(torch.randn(query_dim) / query_dim**0.5)
        self.head = head(self.attention.face_dim)

    def forward(self, clips: Clips) -> Scores:
        """Classify clips: logits ``[batch, classes]``, glimpses ``[batch, glimpses, *map]``."""
        clips = self.modality_dropout(clips)
        face_map = self.face_encoder(*clips.read(self.face_encoder.stream))
        face_map = self.no_face(face_map, clips.has_face, clips.all_have_face)
        mask = clips.position_mask(self.face_encoder.stream, face_map.shape[2:])
        face, weights = self.attention(face_map, self.query.expand(len(face_map), -1), mask)
        return Scores(self.head(face), weights.unflatten(-1, face_map.shape[2:]))


class AudioOnly(nn.Module):
    """Classify by the audio vector alone."""

    def __init__(
        self,
        audio_encoder: Encoder,
        head: ModuleFactory,
        modality_dropout: float = 0.0,
        missing: Missing = None,
    ) -> None:
        super().__init__()
        self.missing = name_stand_in(missing, modality_dropout, imagines=False)
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.no_audio = MissingModality(audio_encoder.vector_dim, learned=self.missing == "learned")
        self.audio_encoder = audio_encoder
        self.head = head(audio_encoder.vector_dim)

    def forward(self, clips: Clips) -> Scores:
        """Classify clips: logits ``[batch, classes]`` and no glimpses."""
        clips = self.modality_dropout(clips)
        _, audio = self.audio_encoder(*clips.sequence(self.audio_encoder.stream))
        return Scores(self.head(self.no_audio(audio, clips.has_audio)), None)
