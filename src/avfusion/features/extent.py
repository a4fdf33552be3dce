"""How many pictures a recording has, without decoding them."""

from contextlib import suppress
from pathlib import Path

from avfusion.corpora.recording import Recording
from avfusion.features.picture import is_frame, is_still
from avfusion.features.source import opened


def count_pictures(recording: Recording) -> int:
    """Return how many pictures a recording has, 0 where it has none or its file does not tell."""
    with suppress(OSError, ValueError):
        if recording.video is not None:
            return 1 if is_still(recording.video) else count_frames(recording.video)
        if recording.image is not None and recording.image.is_dir():
            return sum(is_frame(path) for path in recording.image.iterdir())
    return int(recording.image is not None)


def count_frames(path: Path) -> int:
    """Return how many pictures a video promises, or as many as its length and rate make."""
    with opened(path) as container:
        if not container.streams.video:
            return 0
        stream = container.streams.video[0]
        if stream.frames:
            return stream.frames
        if stream.duration is not None and stream.time_base is not None:
            seconds = float(stream.duration * stream.time_base)
        else:
            seconds = (container.duration or 0) / 1e6  # of AV_TIME_BASE
        return max(1, round(seconds * float(stream.average_rate or 25)))
