"""The record of a clip: what a store knows of it beside its arrays."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from avfusion.corpora.recording import Box, Recording
from avfusion.corpora.spelling import legible
from avfusion.features import ClipFeatures
from avfusion.features.extent import count_pictures
from avfusion.features.mfcc import SAMPLE_RATE


class Window(NamedTuple):
    """Where a clip begins and ends in its recording, in seconds."""

    start: float
    end: float


class PictureSize(NamedTuple):
    """The sides of a picture, in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class ClipRecord:
    """One clip of a store.

    ``label``, ``subject``, ``session`` are those of the recording, empty where unknown, ``split``
    what the corpus itself assigns it to, if anything; ``shard`` and ``place`` say where its arrays
    are. ``window`` is None where the recording is not cut.
    ``seconds`` is the length of the whole sound, ``samples`` what is kept of it at 16 kHz,
    ``frames`` the number of audio frames, ``pictures`` that of the recording's pictures. ``box`` is
    the speaker's face in fractions of the stored picture, ``crop`` the square cut out of the first
    picture, in pixels, ``picture_size`` that picture's. Sources and digests are None where the clip
    lacks the modality; a digest is the same for the same decoded content.

    Text is valid UTF-8, see ``legible``: that is what a file can hold.
    """

    clip_id: str
    label: str
    subject: str
    session: str
    split: str
    shard: int
    place: int
    window: Window | None
    seconds: float
    samples: int
    frames: int
    has_face: bool
    has_audio: bool
    pictures: int
    note: str
    box: Box | None
    crop: Box | None
    picture_size: PictureSize | None
    face_source: str | None
    audio_source: str | None
    face_digest: int | None
    audio_digest: int | None

    @classmethod
    def of(cls, recording: Recording, clip: ClipFeatures, shard: int, place: int) -> "ClipRecord":
        """Return the record of a recording that was decoded."""
        window, size = recording.window, clip.picture_size
        return cls(
            clip_id=legible(recording.clip_id),
            label=legible(recording.label),
            subject=legible(recording.subject),
            session=legible(recording.session),
            split=recording.split,
            shard=shard,
            place=place,
            window=None if window is None else Window(*(edge / SAMPLE_RATE for edge in window)),
            seconds=float(clip.seconds),
            samples=len(clip.sound),
            frames=len(clip.audio),
            has_face=bool(clip.has_face),
            has_audio=bool(clip.has_audio),
            pictures=count_pictures(recording),
            note=legible(clip.note),
            box=None if clip.box is None else Box(*map(float, clip.box)),
            crop=None if clip.crop is None else Box(*map(float, clip.crop)),
            picture_size=None if size is None else PictureSize(*map(int, size)),
            face_source=legible(recording.sources[0]) if clip.has_face else None,
            audio_source=legible(recording.sources[-1]) if clip.has_audio else None,
            face_digest=digest_content(clip.face) if clip.has_face else None,
            audio_digest=digest_content(clip.sound) if clip.has_audio else None,
        )

    def to_row(self) -> dict[str, Any]:
        """Return plain values under the names of the index's columns; None where unknown."""
        row: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in PARTS:
                row[field.name] = value
                continue
            names = PARTS[field.name][1]
            row.update(zip(names, value or [None] * len(names), strict=True))
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ClipRecord":
        """Return the record of such a row."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name not in PARTS:
                values[field.name] = row[field.name]
                continue
            kind, names = PARTS[field.name]
            parts = [row[name] for name in names]
            values[field.name] = None if None in parts else kind(*parts)
        return cls(**values)


BOX = ("box_left", "box_top", "box_right", "box_bottom")
# The columns of what has several numbers.
PARTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "window": (Window, ("start", "end")),
    "box": (Box, BOX),
    "crop": (Box, ("crop_left", "crop_top", "crop_right", "crop_bottom")),
    "picture_size": (PictureSize, ("picture_width", "picture_height")),
}


def digest_content(array: np.ndarray) -> int:
    """Return the first 64 bits of the SHA-256 of an array's bytes."""
    return int.from_bytes(hashlib.sha256(array.tobytes()).digest()[:8])


def spell_digest(digest: int) -> str:
    """Return the sixteen hexadecimal digits that people and checkpoints know a digest by."""
    return f"{digest:016x}"
