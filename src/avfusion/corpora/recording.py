"""One clip on disk, and what a corpus says about all of them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

SPLITS = ("train", "val", "test")
ON_ERROR = ("skip", "raise")


class Box(NamedTuple):
    """A rectangle; in pixels, or in fractions of a picture where that is said."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Recording:
    """The files of one clip: a video, or a picture (or folder of frames), or a sound, or both.

    ``split`` is what the corpus itself assigns the clip to, empty where it does not; ``session``
    the occasion of the recording, empty where unknown. ``box`` is the speaker's face in pixels of
    the picture, where known; ``window`` the samples of the sound, at 16 kHz, that count, where it
    is not for the features to choose them; ``place`` the number of the picture in a file that holds
    many, which the clip_id names, too. Where the label names numbers to predict, such as
    ``arousal|valence``, ``numbers`` are those of the clip, in the order of their names there.
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
    place: int | None = field(default=None, repr=False)  # stores are named by the rest
    session: str = ""
    numbers: tuple[float, ...] = ()

    @property
    def sound_source(self) -> Path | None:
        """The file that holds the sound, if there is one."""
        return self.video or self.audio

    @property
    def sources(self) -> list[Path]:
        """The files and folders that are read."""
        return [self.video] if self.video else [p for p in (self.image, self.audio) if p]


class Contents(NamedTuple):
    """A corpus after its checks.

    ``labels`` is the kind of the labels (see ``avfusion.targets``), ``output_names`` are the names
    of what a target predicts, such as classes.
    """

    recordings: list[Recording]
    output_names: list[str]
    labels: str = "single_label"


@runtime_checkable
class Corpus(Protocol):
    """What preparation needs of a corpus."""

    name: str
    on_error: str
    allowed_leaks: Collection[str]

    def read(self) -> Contents:
        """Return the checked contents without opening a recording."""
        ...
