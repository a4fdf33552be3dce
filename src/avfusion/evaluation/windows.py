"""Long recordings, cut into overlapping windows."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from avfusion.corpora import Recording
from avfusion.features import Features, Unreadable
from avfusion.features.audio import decode_audio
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.policies import Missing
from avfusion.features.video import read_video_span
from avfusion.parallel import run_parallel
from avfusion.preparation.watchdog import watch_decoder

log = logging.getLogger(__name__)


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
        totals = lengths(recordings)
        return [
            part
            for whole, total in zip(recordings, totals, strict=True)
            for part in self.cut(whole, total, features.audio.samples)
        ]

    def cut(self, recording: Recording, total: int, samples: int) -> Iterator[Recording]:
        """Yield the windows of so many samples of a recording, or the recording."""
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


def lengths(recordings: Sequence[Recording]) -> list[int]:
    """Return the length of each recording; none is cut where one of them ends its process."""
    try:
        jobs, sizes = list(recordings), [1] * len(recordings)
        found = dict(run_parallel(length, jobs, sizes, "Measuring recordings"))
    except ChildProcessError:  # preparation will find out which one it is
        log.warning("A recording ended the process that measured it: none is cut into windows.")
        return [0] * len(recordings)
    return [found[number] for number in range(len(recordings))]


def length(recording: Recording) -> int:
    """Return the samples of a recording's sound, or of as much video; none if it is unreadable."""
    if recording.sound_source is None:
        return 0
    with watch_decoder(recording), suppress(Unreadable):
        with suppress(Missing):
            return decode_audio(recording.sound_source, slice(0, 0)).total
        first, last = read_video_span(recording.sound_source)
        return round((last - first) * SAMPLE_RATE)
    return 0
