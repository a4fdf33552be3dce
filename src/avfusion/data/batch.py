"""Batch of clips."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, int16, uint8

UNITS = {uint8: 255, int16: 2**15}  # what stands for one in whole numbers
FLAT_FIELDS = ("has_face", "has_audio", "label", "box", "row")  # those that are tensors


class Mixed(NamedTuple):
    """The labels that clips were mixed with, and the share of their own."""

    label: Shaped[Tensor, "batch *outputs"]
    share: float


class Clips(NamedTuple):
    """Some clips: the streams of their faces and voices, labels and masks.

    ``streams`` holds what the network reads of a store, by name: pictures
    ``[batch, pictures, 3, height, width]``, RGB; maps ``[batch, pictures, channels, rows,
    columns]``; vectors ``[batch, features]``; sequences ``[batch, steps, ...]``, padded with zeros
    after as many as ``lengths``, which has the same names, says of each clip. Layers, where there
    are any, are the second axis of vectors and sequences. Pictures and waveforms are whole numbers
    as they come from the store, and in [0, 1] and [-1, 1) once they are on the device.

    ``label`` is encoded as the target of the data does it. A clip without a face or without sound
    has zeros there, lengths of 1, and its flag off. ``box`` is the speaker's face
    (left, top, right, bottom) in fractions of the picture, NaN where unknown; ``row`` finds the
    clip in the index of its store. ``mixed`` is None unless clips are mixtures of two.

    ``all_have_face`` says without reading from the device that no clip lacks its face, so that
    networks need not search; code that changes ``has_face`` turns it off.
    """

    streams: dict[str, Shaped[Tensor, "batch *item"]]
    lengths: dict[str, Int[Tensor, "batch"]]
    has_face: Bool[Tensor, "batch"]
    has_audio: Bool[Tensor, "batch"]
    label: Shaped[Tensor, "batch *outputs"]
    box: Float[Tensor, "batch 4"]
    row: Int[Tensor, "batch"]
    mixed: Mixed | None = None
    all_have_face: bool = False

    def sequence(
        self, name: str
    ) -> tuple[Float[Tensor, "batch steps *item"], Int[Tensor, "batch"]]:
        """Stream as a sequence, and how many steps of each clip are true: of a vector, one."""
        values = self.streams[name]
        if name in self.lengths:
            return values, self.lengths[name]
        if values.ndim > 3:
            raise ValueError(
                f"The stream {name} has no time axis, as what an audio encoder reads must have: "
                "set model.network.audio_encoder.stream to another one, such as mfcc."
            )
        one = torch.ones(len(values), dtype=torch.int64, device=values.device)
        return values.unsqueeze(-2), one

    def read(self, name: str) -> tuple[Tensor, ...]:
        """Stream, and, where it is a sequence, how many steps of each clip are true."""
        lengths = self.lengths.get(name)
        return (self.streams[name],) if lengths is None else (self.streams[name], lengths)

    def position_mask(
        self, name: str, size: Sequence[int]
    ) -> Bool[Tensor, "batch positions"] | None:
        """Mark the positions of maps of this size, [steps, rows, columns], that are no padding.

        None where the stream ``name``, of which the maps are made, has no padding.
        """
        if name not in self.lengths:
            return None
        steps, rows, columns = size
        lengths = self.lengths[name]
        is_true = torch.arange(steps, device=lengths.device) < lengths[:, None]
        return is_true.repeat_interleave(rows * columns, dim=1)

    def with_stream(self, name: str, values: Shaped[Tensor, "batch *item"]) -> "Clips":
        """Clips with other values of one stream."""
        return self._replace(streams=self.streams | {name: values})

    def with_floats(self) -> "Clips":
        """Clips with streams of floating-point numbers, as networks read them."""
        return self._replace(streams={name: to_float(part) for name, part in self.streams.items()})

    def map(self, change: Callable[[Tensor], Tensor]) -> "Clips":
        """Clips with every tensor changed, such as moved to a device."""
        streams = {name: change(values) for name, values in self.streams.items()}
        lengths = {name: change(steps) for name, steps in self.lengths.items()}
        others: dict[str, Any] = {n: change(getattr(self, n)) for n in FLAT_FIELDS}
        mixed = self.mixed and self.mixed._replace(label=change(self.mixed.label))
        return self._replace(streams=streams, lengths=lengths, mixed=mixed, **others)

    def named(self) -> dict[str, Tensor]:
        """Every tensor under a name of its own."""
        lengths = {f"{name}_length": steps for name, steps in self.lengths.items()}
        mixed = {"mixed_label": self.mixed.label} if self.mixed else {}
        others = {name: getattr(self, name) for name in FLAT_FIELDS}
        return self.streams | lengths | others | mixed


def to_float(values: Shaped[Tensor, "batch *item"]) -> Float[Tensor, "batch *item"]:
    """Floating-point numbers; bytes become [0, 1], 16 bits of sound [-1, 1)."""
    one = UNITS.get(values.dtype)
    return values.float() if one is None else values.float().div_(one)  # of whole numbers: a copy
