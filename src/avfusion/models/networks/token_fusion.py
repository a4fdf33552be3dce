"""The network whose modalities meet token by token."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.audio_encoders.pooling import AttentivePooling
from avfusion.models.initialization import he
from avfusion.models.layers.transformer import positions
from avfusion.models.networks.missing_modality import ModalityDropout, Placeholder
from avfusion.models.networks.scores import Encoder, Part, Scores


class TokenFusion(nn.Module):
    r"""Let the positions of a face map and the frames of a voice read from each other.

    face  -> face_encoder -> face map -> a token per position \
                                                              fusion -> head -> logits
    audio -> audio_encoder -> tokens --> a token per frame ---/

    ``dim`` is the width of the tokens. The voice's vector, and what pools it, is not used.
    """

    def __init__(
        self,
        face_encoder: Encoder,
        audio_encoder: Encoder,
        fusion: Part,
        head: Part,
        dim: int = 128,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if isinstance(getattr(audio_encoder, "pooling", None), AttentivePooling):
            raise ValueError(
                "model.network.audio_encoder.pooling=attentive learns nothing where tokens meet, "
                "which are not pooled: leave it at mean."
            )
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.no_face = Placeholder(face_encoder.channels, learned=modality_dropout > 0)
        self.no_audio = Placeholder(audio_encoder.dim, learned=modality_dropout > 0)
        self.face_encoder = face_encoder
        self.audio_encoder = audio_encoder
        self.face_tokens = Tokens(face_encoder.channels, dim)
        self.audio_tokens = Tokens(audio_encoder.dim, dim)
        self.fusion = fusion(dim)
        self.head = head(self.fusion.dim)

    def forward(self, clips: Clips) -> Scores:
        """Return logits ``[batch, classes]`` and glimpses ``[batch, glimpses, *map size]``."""
        clips = self.modality_dropout(clips)
        heard, length = clips.sequence(self.audio_encoder.stream)
        audio, _ = self.audio_encoder(heard, length)
        audio = self.no_audio(audio.transpose(1, 2), clips.has_audio)
        face_map = self.face_encoder(clips.streams[self.face_encoder.stream])
        face_map = self.no_face(face_map, clips.has_face)
        length = torch.where(clips.has_audio, length, 1)  # one placeholder is enough
        fused, weights = self.fusion(self.face_tokens(face_map), self.audio_tokens(audio), length)
        return Scores(self.head(fused), weights.unflatten(-1, face_map.shape[2:]))


class Tokens(nn.Module):
    """Make a token of ``dim`` numbers, normalised, of each place, and tell it where it is."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, dim)
        self.norm = nn.LayerNorm(dim)
        he(self)

    def forward(
        self, features: Float[Tensor, "batch channels *size"]
    ) -> Float[Tensor, "batch places dim"]:
        """Return the tokens."""
        tokens = self.norm(self.project(features.flatten(2).transpose(1, 2)))
        return tokens + positions(features.shape[2:], tokens.shape[-1], tokens.device).to(tokens)
