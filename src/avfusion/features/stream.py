"""A stream: one named array of a store."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from math import prod
from typing import Any

import numpy as np

FRAMES = "frames"  # pictures of the face, as they are decoded
WAVEFORM = "waveform"  # the sound, as it is decoded
MODALITIES = ("face", "audio")
KINDS = ("pictures", "maps", "sequence")


@dataclass(frozen=True)
class Stream:
    """What a store says of one of its arrays, which holds an item per clip.

    ``modality`` is face or audio. ``kind`` says what the axes of an item, of this ``shape``, are:
    ``pictures`` are [pictures, height, width, 3], ``maps`` [pictures, channels, rows, columns], and
    a ``sequence`` begins with its time axis, such as [steps, features] or [samples].

    A sequence has ``rate`` steps per second (None where its maker does not say), the middle of the
    first one ``offset`` seconds after the first sample that is kept of the sound, and a true length
    in each clip: in the column ``lengths`` of the index, or, without one, in lengths.npy beside its
    shards, [clips]. Steps of padding hold zeros.

    ``mean`` and ``std`` have a number for each feature, over the training clips of a split plan,
    where they are known. A stream that an encoder computed names its recipe, where its ``weights``
    come from, and their ``sha256``.
    """

    modality: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    rate: float | None = None
    offset: float = 0.0
    lengths: str | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    encoder: Mapping[str, Any] | None = None
    weights: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES or self.kind not in KINDS:
            raise ValueError(
                f"A stream is of the face or of the audio and one of {KINDS}, got {self.modality} "
                f"and {self.kind}."
            )

    @property
    def clip_bytes(self) -> int:
        """Bytes of the item of one clip."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def zeros(self, clips: int) -> np.ndarray:
        """Return zeros to hold the items of some clips."""
        return np.zeros((clips, *self.shape), self.dtype)

    def plain(self) -> dict[str, Any]:
        """Return plain containers, which JSON and checkpoints keep."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Stream":
        """Return a stream of plain containers; a description may say more of it."""
        known: dict[str, Any] = {
            field.name: tuple(value) if isinstance(value, list) else value
            for field in fields(cls)
            if (value := values.get(field.name, field.default)) is not MISSING
        }
        return cls(**known)
