"""Windows that overlap, cut from long recordings."""

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
    """Cut long recordings into windows of the features' length.

    Args:
        longer_than: Seconds; a recording that is not longer stays whole.
        step: Seconds from the start of one window to that of the next; by default half a window.
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
        """Replace long recordings by their windows."""
        totals = measure_recordings(recordings)
        return [
            window
            for recording, total in zip(recordings, totals, strict=True)
            for window in self.cut(recording, total, features.audio.samples)
        ]

    def cut(self, recording: Recording, total: int, samples: int) -> Iterator[Recording]:
        """Yield the windows of a recording of ``total`` samples, or the recording itself."""
        if total <= max(self.longer_than * SAMPLE_RATE, samples):
            yield recording
            return

        step = samples // 2 if self.step is None else max(1, round(self.step * SAMPLE_RATE))
        starts = [*range(0, total - samples + 1, step)]
        if total - samples - starts[-1] > samples // 10:
            starts.append(total - samples)  # or the end would have no prediction
        for first in starts:
            name = f"{recording.clip_id} @ {first / SAMPLE_RATE:.2f} s"
            yield replace(recording, clip_id=name, window=(first, first + samples))


def measure_recordings(recordings: Sequence[Recording]) -> list[int]:
    """Measure each recording in samples; all are zero where one of them crashes its process."""
    jobs, sizes = list(recordings), [1] * len(recordings)
    try:
        found = dict(run_parallel(_measure_recording, jobs, sizes, "Measuring recordings"))
    except ChildProcessError:  # preparation will find out which one it is
        log.warning("A recording crashed the process that measured it: none is cut into windows.")
        return [0] * len(recordings)

    return [found[number] for number in range(len(recordings))]


def _measure_recording(recording: Recording) -> int:
    """Samples of a recording's sound, or of as much video; zero where it is unreadable."""
    if recording.sound_source is None:
        return 0

    with watch_decoder(recording), suppress(Unreadable):
        with suppress(Missing):
            return decode_audio(recording.sound_source, slice(0, 0)).total
        first, last = read_video_span(recording.sound_source)
        return round((last - first) * SAMPLE_RATE)
    return 0
