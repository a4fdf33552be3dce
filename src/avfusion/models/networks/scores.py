"""Output of a network, and the types of its parts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxtyping import Bool, Float
from torch import Tensor

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


class Shared(NamedTuple):
    """Vectors of both modalities in a shared embedding, and which clips have each."""

    face: Float[Tensor, "batch dim"]
    audio: Float[Tensor, "batch dim"]
    has_face: Bool[Tensor, "batch"]
    has_audio: Bool[Tensor, "batch"]


class Scores(NamedTuple):
    """Outputs, such as a logit per class, and the weights of each glimpse (None without glimpses).

    In training only: ``single`` holds the outputs from each of several glimpses alone,
    ``imagined`` what generators make of each modality, and ``shared`` the shared embedding, where
    a network has them.
    """

    logits: Float[Tensor, "batch classes"]
    glimpses: Float[Tensor, "batch glimpses pictures rows columns"] | None
    single: Float[Tensor, "glimpses batch classes"] | None = None
    imagined: Imagined | None = None
    shared: Shared | None = None
