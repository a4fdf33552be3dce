"""The batch."""

from typing import NamedTuple

from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


class Clips(NamedTuple):
    """Some clips, each a face and a voice.

    ``face`` is RGB, bytes from the store and [0, 1] once on the device, or holds the store's face
    maps for networks that read those; ``audio`` holds audio frames, padded with zeros after
    ``audio_length`` of them. ``label`` is encoded as the target of the data does it.
    A clip without a face or without sound has zeros there, ``audio_length`` 1, and its flag off.
    ``box`` is the speaker's face (left, top, right, bottom) in fractions of the picture, NaN where
    unknown; ``row`` finds the clip in the index of its store.
    """

    face: Shaped[Tensor, "batch pictures channels height width"]
    audio: Float[Tensor, "batch frames features"]
    audio_length: Int[Tensor, "batch"]
    has_face: Bool[Tensor, "batch"]
    has_audio: Bool[Tensor, "batch"]
    label: Shaped[Tensor, "batch *outputs"]
    box: Float[Tensor, "batch 4"]
    row: Int[Tensor, "batch"]
