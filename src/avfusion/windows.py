"""Long recordings, cut into overlapping windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from avfusion.corpora import Recording
from avfusion.features import Features, Unreadable
from avfusion.features.media import decode_sound
from avfusion.features.mfcc import SAMPLE_RATE


@dataclass(frozen=True)
class Windows:
    """Cut recordings longer than so many seconds into windows of the features' length.

    ``step`` is the time in seconds from one window to the next, by default half of a window.
    """

    longer_than: float = 10.0
    step: float | None = None

    def __post_init__(self) -> None:
        if self.longer_than <= 0 or (self.step is not None and self.step <= 0):
            raise ValueError(
                "windows.longer_than and windows.step must be positive seconds, got "
                f"{self.longer_than} and {self.step}."
            )

    def __call__(self, recordings: Sequence[Recording], features: Features) -> list[Recording]:
        """Return the recordings, long ones replaced by their windows."""
        return [part for whole in recordings for part in self.cut(whole, features.audio.samples)]

    def cut(self, recording: Recording, samples: int) -> Iterator[Recording]:
        """Yield the windows of a recording of so many samples each, or the recording."""
        total = length(recording)
        if total <= max(self.longer_than * SAMPLE_RATE, samples):
            yield recording
            return
        step = samples // 2 if self.step is None else max(1, round(self.step * SAMPLE_RATE))
        starts = [*range(0, total - samples + 1, step)]
        if total - samples - starts[-1] > samples // 10:
            starts.append(total - samples)  # the end has a right to an answer, too
        for first in starts:
            name = f"{recording.clip_id} @ {first / SAMPLE_RATE:.2f} s"
            yield replace(recording, clip_id=name, window=(first, first + samples))


def length(recording: Recording) -> int:
    """Return the samples of a recording's sound, none where it cannot be read."""
    if recording.sound_source is None:
        return 0
    try:
        return decode_sound(recording.sound_source, slice(0, 0)).total
    except Unreadable:
        return 0
