"""Output of a network, and the types of its parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from avfusion.data.batch import Clips

ModuleFactory = Callable[..., Any]  # makes a module from the widths of the parts before it
Encoder = Any  # a module with the widths that avfusion.models.*_encoders promise


class Imagined(NamedTuple):
    """True vectors of both modalities, and what generators imagine of them.

    A face vector is imagined from ``audio``, an audio vector from ``face_alone``, the face vector
    as it is where no voice directs attention. Only clips that have both modalities count.
    """

    face: Float[Tensor, "batch face_dim"]
    audio: Float[Tensor, "batch audio_dim"]
    face_alone: Float[Tensor, "batch face_dim"]
    imagined_face: Float[Tensor, "batch face_dim"]
    imagined_audio: Float[Tensor, "batch audio_dim"]
    has_both: Bool[Tensor, "batch"]


class Vectors(NamedTuple):
    """Vectors of both modalities, and which clips have each."""

    face: Float[Tensor, "batch face_dim"]
    audio: Float[Tensor, "batch audio_dim"]
    has_face: Bool[Tensor, "batch"]
    has_audio: Bool[Tensor, "batch"]


class Scores(NamedTuple):
    """Outputs, such as a logit per class, and the weights of each glimpse (None without glimpses).

    ``unimodal`` holds the encoders' features of each modality alone: the mean of the face map over
    its positions, and the vector of the voice. In training only: ``single`` holds the outputs from
    each of several glimpses alone, ``imagined`` what generators imagine of each modality, and
    ``shared`` the shared embedding, where a network has them.
    """

    logits: Float[Tensor, "batch classes"]
    glimpses: Float[Tensor, "batch glimpses pictures rows columns"] | None
    single: Float[Tensor, "glimpses batch classes"] | None = None
    imagined: Imagined | None = None
    shared: Vectors | None = None
    unimodal: Vectors | None = None


def collect_unimodal(
    face_map: Float[Tensor, "batch channels *map"],
    mask: Bool[Tensor, "batch positions"] | None,
    audio: Float[Tensor, "batch audio_dim"],
    clips: Clips,
) -> Vectors:
    """Average a face map over its positions, beside the vector of the voice."""
    positions = face_map.flatten(2)
    if mask is None:
        face = positions.mean(dim=2)
    else:
        face = torch.where(mask[:, None], positions, 0).sum(dim=2) / mask.sum(dim=1, keepdim=True)
    return Vectors(face, audio, clips.has_face, clips.has_audio)
