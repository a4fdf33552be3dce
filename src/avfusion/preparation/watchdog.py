"""Watchdog: decoders that crash or hang do not take a long preparation with them."""

import faulthandler
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from avfusion.corpora import Recording
from avfusion.features import Features
from avfusion.features.container import listen_to_progress
from avfusion.parallel import run_parallel

# Seconds that a decoder may take without coming further, and one more for each MiB: how long all
# of a recording takes follows from its length, which its size does not show.
TIMEOUT_SECONDS = 20.0
REARM_SECONDS = 1.0  # between two looks at whether it comes further


@contextmanager
def record_current_clip(path: Path, recording: Recording) -> Iterator[None]:
    """Write the id of a recording into a file, for as long as it is being decoded."""
    path.write_text(recording.clip_id, encoding="utf-8", errors="surrogatepass")
    yield
    path.unlink(missing_ok=True)  # another attempt at this chunk may have deleted it


@contextmanager
def watch_decoder(recording: Recording) -> Iterator[None]:
    """End this process, if it is there for decoding only, where a decoder does not come back."""
    if multiprocessing.parent_process() is None:
        yield
        return

    size = sum(path.stat().st_size for path in recording.sources if path.is_file())
    with Path(os.devnull).open("w", encoding="utf-8") as devnull:
        armed = -math.inf

        def arm() -> None:
            nonlocal armed
            if monotonic() - armed < REARM_SECONDS:
                return
            faulthandler.dump_traceback_later(
                TIMEOUT_SECONDS + size / 2**20, exit=True, file=devnull
            )
            armed = monotonic()

        arm()
        try:
            with listen_to_progress(arm):
                yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _decode_alone(job: tuple[Features, Recording]) -> None:
    """Decode one recording, to see whether the process survives it."""
    features, recording = job
    with watch_decoder(recording), suppress(Exception):
        features(recording)


def crashes_decoder(recording: Recording, features: Features) -> bool:
    """Whether a recording ends a process that decodes nothing else."""
    job, title = (features, recording), f"Trying {recording.clip_id} alone"
    try:
        deque(run_parallel(_decode_alone, [job], [1], title, workers=1), maxlen=0)
    except ChildProcessError:
        return True
    return False
