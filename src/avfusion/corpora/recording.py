"""Recordings of a corpus: the files of each clip, and what the corpus says about them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

SPLITS = ("train", "val", "test")
ON_ERROR = ("skip", "raise")

Attributes = tuple[tuple[str, str], ...]  # pairs of name and value, by name


class Box(NamedTuple):
    """A rectangle; in pixels, or in fractions of a picture where that is said."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Recording:
    """One clip on disk: a video, or a picture (or folder of frames), or a sound, or both.

    Attributes:
        image: the pictures alone: one, a folder of frames, or a video, whose own sound is not used.
        audio: the sound alone, also that of a video.
        split: what the corpus itself assigns the clip to; empty where it does not.
        box: the speaker's face in pixels of the picture, where known.
        window: the samples of the sound, at 16 kHz, that count; None lets the features choose.
        archive_index: which picture of a file that holds many; the clip_id names it, too.
        session: the occasion of the recording; empty where unknown.
        numbers: where the label names numbers to predict, such as ``arousal|valence``, those of
            the clip, in the order of their names there.
        face_features: a file of precomputed features of the face, likewise of the voice;
            where there is no picture, or no sound, they stand for it.
        attributes: what else is known of the clip, such as gender or intensity, to report by.
        span: the seconds of the pictures that belong to the clip, where ``image`` is a video that
            holds more; the sound in ``audio`` begins with them.
        region: the part of each picture that shows the speaker, in fractions of its sides.
    """

    clip_id: str
    label: str
    subject: str
    split: str = ""
    video: Path | None = None
    image: Path | None = None
    audio: Path | None = None
    box: Box | None = None
    window: tuple[int, int] | None = None
    archive_index: int | None = field(default=None, repr=False)  # stores are named by the rest
    session: str = ""
    numbers: tuple[float, ...] = ()
    face_features: Path | None = field(default=None, repr=False)  # named by content elsewhere
    audio_features: Path | None = field(default=None, repr=False)
    attributes: Attributes = field(default=(), repr=False)  # stores are named by it where it is
    span: tuple[float, float] | None = field(default=None, repr=False)  # likewise
    region: Box | None = field(default=None, repr=False)  # likewise

    @property
    def sound_source(self) -> Path | None:
        """The file that holds the sound, if there is one."""
        return self.video or self.audio

    @property
    def sources(self) -> list[Path]:
        """The files and folders that are read: the video, or the picture and the sound.

        Without any of them, they are the features that stand for them.
        """
        if self.video:
            return [self.video]
        media = [path for path in (self.image, self.audio) if path]
        return media or [path for path in (self.face_features, self.audio_features) if path]

    @property
    def picture_source(self) -> Path | None:
        """The file or folder that holds the pictures, if there is one."""
        return self.video or self.image


class FeatureFormat(NamedTuple):
    """Format of files of precomputed features, as far as they do not hold it themselves.

    Attributes:
        rate: steps per second, where a file holds one array per step of time.
        key: name of the array in an ``.npz`` or ``.pt`` that holds several.

    Either may be a mapping that has one for ``face_features``, ``audio_features`` or both.
    """

    rate: float | Mapping[str, float] | None = None
    key: str | Mapping[str, str] | None = None

    def rate_of(self, column: str) -> float | None:
        """Steps per second of the features that a column names."""
        return self.rate.get(column) if isinstance(self.rate, Mapping) else self.rate

    def key_of(self, column: str) -> str | None:
        """Name of the array that is taken of files that a column names."""
        return self.key.get(column) if isinstance(self.key, Mapping) else self.key


class LeftOut(NamedTuple):
    """A clip that a corpus has and does not offer.

    Attributes:
        reason: in a few words, the same for clips that are left out for the same.
        detail: about this clip, such as the source of the reason.
    """

    clip_id: str
    reason: str
    detail: str = ""
    source: Path | None = None


class Contents(NamedTuple):
    """The checked recordings of a corpus.

    Attributes:
        output_names: names of what a target predicts: classes, or numbers.
        labels: the kind of the labels, such as ``single_label`` (see ``avfusion.targets``).
        features: how the features that recordings bring are to be read.
        modalities: ``both``, or ``audio`` or ``face``: recordings of one do not lack the other.
        left_out: clips that are not among the recordings.
        faults: sentences about what is wrong with the files and hinders nothing.
    """

    recordings: list[Recording]
    output_names: list[str]
    labels: str = "single_label"
    features: FeatureFormat = FeatureFormat()
    modalities: str = "both"
    left_out: Sequence[LeftOut] = ()
    faults: Sequence[str] = ()


@runtime_checkable
class Corpus(Protocol):
    """The interface between a corpus and its preparation; the package's docstring explains it."""

    name: str
    on_error: str
    allowed_leaks: Collection[str]

    def read(self) -> Contents:
        """Read and check the description of all recordings without opening one."""
        ...
