"""Work of a preparation: its parts, done by an executor; what is done stays done."""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from avfusion.corpora import Contents, Corpus, Recording
from avfusion.data.store import MOMENTS, shard_file
from avfusion.features import Features
from avfusion.files import atomic_write
from avfusion.preparation.attempts import run_work
from avfusion.preparation.executors import Executor, Work
from avfusion.preparation.shards import Part, take_in, write_part
from avfusion.preparation.statistics import count_packed, list_standardized
from avfusion.preparation.watchdog import crashes_decoder

log = logging.getLogger(__name__)
SHARD_BYTES = 4 * 2**30  # few shards, so that a batch is gathered with few calls
PART_CLIPS = 256  # of a computed stream, at most; a part is what a kill loses
CLIPS_PER_PART = 64  # that a process takes at a time
ARCHIVE_CLIPS_PER_PART = 1000  # of those that lie in one file, which take less time than a journal


class Pace(NamedTuple):
    """How many clips were decoded, and how long it took."""

    clips: int
    seconds: float


def allocate(
    root: Path, journals: Path, corpus: Corpus, contents: Contents, features: Features
) -> list[Part]:
    """Create the shards that are not there, full of zeros, and return what goes where."""
    streams = features.streams
    clip_bytes = sum(stream.clip_bytes for stream in streams.values())
    moments = {name: count_packed(columns) for name, columns in list_standardized(streams).items()}
    number = np.dtype(np.float64)
    needed = clip_bytes + number.itemsize * sum(moments.values())
    check_room(root, needed * len(contents.recordings))
    journals.mkdir(parents=True, exist_ok=True)
    length = count_shard_clips(features)
    packed = contents.recordings[0].archive_index is not None
    step = ARCHIVE_CLIPS_PER_PART if packed else CLIPS_PER_PART
    parts = []

    for shard, start in enumerate(range(0, len(contents.recordings), length)):
        recordings = contents.recordings[start : start + length]
        for name, stream in streams.items():
            shape = (len(recordings), *stream.shape)
            create_shard(shard_file(root, name, shard), shape, np.dtype(stream.dtype))
        for name, size in moments.items():
            create_shard(
                shard_file(root, f"{MOMENTS}/{name}", shard), (len(recordings), size), number
            )
        for first in range(0, len(recordings), step):
            some = recordings[first : first + step]
            parts.append(Part(root, journals, shard, first, some, features, corpus.on_error))

    return parts


def count_shard_clips(features: Features) -> int:
    """Count the clips of a shard, a multiple of those of a part of a stream where it is more."""
    clips = max(1, SHARD_BYTES // sum(stream.clip_bytes for stream in features.streams.values()))
    return clips - clips % PART_CLIPS if clips > PART_CLIPS else clips


def acquire_lock(folder: Path, root: Path, what: str) -> AbstractContextManager[Any]:
    """Lock of what is to be made in a folder, held, or say where else it may go."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{root}.lock").acquire()
    except OSError as error:
        raise PermissionError(
            f"{folder} has no {what}, and none can be written there ({error}): name another folder "
            "(prepare.stores=..., in training data.store=...), or set AVFUSION_DATA to one."
        ) from error


def check_room(root: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    written = sum(path.stat().st_size for path in root.rglob("*.npy")) if root.exists() else 0
    free = shutil.disk_usage(root.parent).free
    if needed - written > free:
        raise OSError(
            f"The store needs {needed / 1e9:.1f} GB and {root.parent} has {free / 1e9:.1f} GB "
            "left: free some, or give another folder with prepare.stores=<folder>."
        )


def create_shard(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Reserve the room of a shard: were it short later, a write would end the process."""
    if file.exists():
        found = np.load(file, mmap_mode="r").shape
        if found != shape:
            raise ValueError(
                f"{file} was begun by another version of avfusion, with the shape {found} and not "
                f"{shape}: delete what was begun."
            )
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(file) as partial:
        np.lib.format.open_memmap(partial, "w+", dtype, shape)
        if hasattr(os, "posix_fallocate"):
            with partial.open("r+b") as reserved:
                os.posix_fallocate(reserved.fileno(), 0, partial.stat().st_size)


def write_parts(parts: list[Part], title: str, executor: Executor) -> Pace:
    """Write the parts that are not written yet; clips that end their process are left out."""
    started, journals = perf_counter(), parts[0].journals
    memory = journals / "crashed.json"
    crashed = frozenset(json.loads(memory.read_text(encoding="utf-8")) if memory.exists() else [])
    todo = [part._replace(crashed=crashed) for part in parts if not part.journal.exists()]
    sizes = [len(part.recordings) for part in todo]

    def leave_out_crashed(lost: Sequence[int]) -> bool:
        suspects = [(clip, todo[n].features) for n in lost for clip in find_unfinished(todo[n])]
        guilty = {clip.clip_id for clip, features in suspects if crashes_decoder(clip, features)}
        known = todo[0].crashed | guilty
        todo[:] = [part._replace(crashed=known) for part in todo]
        if guilty:
            memory.write_text(json.dumps(sorted(known)), encoding="utf-8")
        return bool(guilty)

    work = Work(title, journals, write_part, todo, sizes)
    run_work(executor, work, lambda n: take_in(todo[n]), list_clips, leave_out_crashed)
    pace = Pace(sum(sizes), perf_counter() - started)
    if pace.clips:
        rate = pace.clips / pace.seconds
        log.info("%s: %d clips in %.1f s, %.1f a second", title, *pace, rate)

    return pace


def list_clips(part: Part) -> list[str]:
    """Names of the recordings of a part."""
    return [recording.clip_id for recording in part.recordings]


def find_unfinished(part: Part) -> list[Recording]:
    """Recording that was worked on when the process of a part ended."""
    path = part.journal.with_suffix(".now")
    name = path.read_text(encoding="utf-8", errors="surrogatepass") if path.exists() else None
    return [recording for recording in part.recordings if recording.clip_id == name]
