"""Token fusion network: positions of the face map and audio frames attend to each other."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.models.audio_encoders.pooling import AttentivePooling, MeanPooling
from avfusion.models.initialization import init_he
from avfusion.models.layers.position_linear import PositionLinear, list_positions
from avfusion.models.layers.transformer import positional_encoding
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


class TokenFusion(nn.Module):
    r"""Let the positions of a face map and the frames of a voice attend to each other.

    face  -> face_encoder -> face map -> a token per position \
                                                              fusion -> head -> logits
    audio -> audio_encoder -> tokens --> a token per frame ---/

    ``dim`` is the width of the tokens. The voice's vector is not fused.

    Where ``missing`` makes an ``Imagination``, the mean of the other modality's tokens is what the
    tokens of a missing one are imagined from: all positions of a face get the same token, and a
    voice becomes one token. Where the network is ``aligned``, these means are what a discriminator
    compares.
    """

    def __init__(
        self,
        face_encoder: Encoder,
        audio_encoder: Encoder,
        fusion: ModuleFactory,
        head: ModuleFactory,
        dim: int = 128,
        modality_dropout: float = 0.0,
        missing: Missing = None,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        if isinstance(getattr(audio_encoder, "pooling", None), AttentivePooling):
            raise ValueError(
                "model.network.audio_encoder.pooling=attentive learns nothing where tokens meet, "
                "which are not pooled: leave it at mean."
            )
        self.missing = name_stand_in(missing, modality_dropout)
        self.modality_dropout = ModalityDropout(modality_dropout)
        self.no_face = MissingModality(face_encoder.channels, learned=self.missing == "learned")
        self.no_audio = MissingModality(audio_encoder.dim, learned=self.missing == "learned")
        self.face_encoder = face_encoder
        self.audio_encoder = audio_encoder
        self.unimodal_dims = face_encoder.channels, audio_encoder.vector_dim
        self.face_tokens = Tokens(face_encoder.channels, dim)
        self.audio_tokens = Tokens(audio_encoder.dim, dim)
        self.mean = MeanPooling()
        self.imagination = missing(dim, dim) if callable(missing) else None
        self.shared_dim = dim if aligned else None
        self.fusion = fusion(dim)
        self.head = head(self.fusion.dim)

    def forward(self, clips: Clips) -> Scores:
        """Classify clips: logits ``[batch, classes]``, glimpses ``[batch, glimpses, *map]``."""
        clips = self.modality_dropout(clips)
        frames, length = clips.sequence(self.audio_encoder.stream)
        audio, vector = self.audio_encoder(frames, length)
        if hasattr(self.audio_encoder, "count_tokens"):  # of several steps each
            length = self.audio_encoder.count_tokens(length)
        audio = self.no_audio(audio.transpose(1, 2), clips.has_audio)
        length = torch.where(clips.has_audio, length, 1)  # one vector in its place is enough

        face_map = self.face_encoder(*clips.read(self.face_encoder.stream))
        face_map = self.no_face(face_map, clips.has_face, clips.all_have_face)

        mask = clips.position_mask(self.face_encoder.stream, face_map.shape[2:])
        unimodal = collect_unimodal(face_map, mask, vector, clips)
        face, voice = self.face_tokens(face_map), self.audio_tokens(audio)
        means = _average(face, mask), self.mean(voice, length)
        imagined, shared = self.compare(*means, clips) if self.training else (None, None)
        if self.imagination is not None:
            imagined_face, imagined_voice = self.imagination(
                *means, clips.has_face, clips.has_audio
            )
            face = torch.where(clips.has_face[:, None, None], face, imagined_face[:, None])
            voice = torch.where(clips.has_audio[:, None, None], voice, imagined_voice[:, None])

        fused, weights = self.fusion(face, voice, length, mask)
        glimpses = weights.unflatten(-1, face_map.shape[2:])
        return Scores(self.head(fused), glimpses, None, imagined, shared, unimodal)

    def compare(
        self, face: Float[Tensor, "batch dim"], audio: Float[Tensor, "batch dim"], clips: Clips
    ) -> tuple[Imagined | None, Vectors | None]:
        """Imagine the mean tokens of both modalities, and give them to compare."""
        imagined, shared = None, None
        if self.imagination is not None:
            has_both = clips.has_face & clips.has_audio
            imagined = self.imagination.imagine(face, audio, face, has_both)
        if self.shared_dim is not None:
            shared = Vectors(face, audio, clips.has_face, clips.has_audio)
        return imagined, shared


class Tokens(nn.Module):
    """Make a normalized token of ``dim`` numbers of each position, and add the encoded position."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.project = PositionLinear(channels, dim)
        self.norm = nn.LayerNorm(dim)
        init_he(self)

    def forward(
        self, features: Float[Tensor, "batch channels *size"]
    ) -> Float[Tensor, "batch positions dim"]:
        """Make the tokens of a map or sequence, row by row."""
        tokens = self.norm(self.project(list_positions(features)))
        size, dim = features.shape[2:], tokens.shape[-1]
        return tokens + positional_encoding(size, dim, tokens.device).to(tokens)


def _average(
    tokens: Float[Tensor, "batch positions dim"], mask: Bool[Tensor, "batch positions"] | None
) -> Float[Tensor, "batch dim"]:
    if mask is None:
        return tokens.mean(dim=1)
    return torch.where(mask[..., None], tokens, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
