"""Decoding of a corpus by an executor, chunk by chunk; chunks that are decoded stay."""

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
from avfusion.data.store import MOMENTS_FOLDER, locate_shard
from avfusion.features import Features
from avfusion.files import atomic_write
from avfusion.preparation.attempts import run_workload
from avfusion.preparation.executors import Executor, Workload
from avfusion.preparation.shards import Chunk, copy_into_shards, decode_chunk
from avfusion.preparation.statistics import count_packed, list_standardized
from avfusion.preparation.watchdog import crashes_decoder

log = logging.getLogger(__name__)
SHARD_BYTES = 4 * 2**30  # few shards, so that a batch is gathered with few calls
STREAM_CHUNK_CLIPS = 256  # of a computed stream, at most; a chunk is what a kill loses
CHUNK_CLIPS = 64  # that a process takes at a time
ARCHIVE_CHUNK_CLIPS = 1000  # of those that lie in one file, which take less time than a journal


class Throughput(NamedTuple):
    """Number of clips that were decoded, and of seconds."""

    clips: int
    seconds: float


def allocate_shards(
    root: Path, journals: Path, corpus: Corpus, contents: Contents, features: Features
) -> list[Chunk]:
    """Create the shards that are not there, full of zeros, and list the chunks that fill them."""
    streams = features.streams
    clip_bytes = sum(stream.clip_bytes for stream in streams.values())
    moments = {name: count_packed(columns) for name, columns in list_standardized(streams).items()}
    number = np.dtype(np.float64)
    needed = clip_bytes + number.itemsize * sum(moments.values())
    check_disk_space(root, needed * len(contents.recordings))
    journals.mkdir(parents=True, exist_ok=True)
    length = count_shard_clips(features)
    packed = contents.recordings[0].archive_index is not None
    step = ARCHIVE_CHUNK_CLIPS if packed else CHUNK_CLIPS
    chunks = []

    for shard, start in enumerate(range(0, len(contents.recordings), length)):
        recordings = contents.recordings[start : start + length]
        for name, stream in streams.items():
            shape = (len(recordings), *stream.shape)
            allocate_shard(locate_shard(root, name, shard), shape, np.dtype(stream.dtype))
        for name, size in moments.items():
            allocate_shard(
                locate_shard(root, f"{MOMENTS_FOLDER}/{name}", shard),
                (len(recordings), size),
                number,
            )
        for first in range(0, len(recordings), step):
            some = recordings[first : first + step]
            chunks.append(Chunk(root, journals, shard, first, some, features, corpus.on_error))

    return chunks


def count_shard_clips(features: Features) -> int:
    """Count the clips of a shard, a multiple of those of a chunk of a stream where it is more."""
    clips = max(1, SHARD_BYTES // sum(stream.clip_bytes for stream in features.streams.values()))
    return clips - clips % STREAM_CHUNK_CLIPS if clips > STREAM_CHUNK_CLIPS else clips


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


def check_disk_space(root: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold."""
    written = sum(path.stat().st_size for path in root.rglob("*.npy")) if root.exists() else 0
    free = shutil.disk_usage(root.parent).free
    if needed - written > free:
        raise OSError(
            f"The store needs {needed / 1e9:.1f} GB and {root.parent} has {free / 1e9:.1f} GB "
            "left: free some, or give another folder with prepare.stores=<folder>."
        )


def allocate_shard(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
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


def decode_chunks(chunks: list[Chunk], title: str, executor: Executor) -> Throughput:
    """Decode the chunks that are not decoded yet; clips that end their process are left out."""
    started, journals = perf_counter(), chunks[0].journals
    crashed_file = journals / "crashed.json"
    crashed = frozenset(
        json.loads(crashed_file.read_text(encoding="utf-8")) if crashed_file.exists() else []
    )
    pending = [chunk._replace(crashed=crashed) for chunk in chunks if not chunk.journal.exists()]
    sizes = [len(chunk.recordings) for chunk in pending]

    def leave_out_crashed(lost: Sequence[int]) -> bool:
        candidates = [
            (clip, pending[n].features) for n in lost for clip in find_unfinished(pending[n])
        ]
        crashing = {
            clip.clip_id for clip, features in candidates if crashes_decoder(clip, features)
        }
        known = pending[0].crashed | crashing
        pending[:] = [chunk._replace(crashed=known) for chunk in pending]
        if crashing:
            crashed_file.write_text(json.dumps(sorted(known)), encoding="utf-8")
        return bool(crashing)

    workload = Workload(title, journals, decode_chunk, pending, sizes)
    run_workload(
        executor, workload, lambda n: copy_into_shards(pending[n]), list_clips, leave_out_crashed
    )
    throughput = Throughput(sum(sizes), perf_counter() - started)
    if throughput.clips:
        rate = throughput.clips / throughput.seconds
        log.info("%s: %d clips in %.1f s, %.1f a second", title, *throughput, rate)

    return throughput


def list_clips(chunk: Chunk) -> list[str]:
    """List the ids of the recordings of a chunk."""
    return [recording.clip_id for recording in chunk.recordings]


def find_unfinished(chunk: Chunk) -> list[Recording]:
    """Find the recording that was being decoded when the process of a chunk ended."""
    path = chunk.journal.with_suffix(".now")
    name = path.read_text(encoding="utf-8", errors="surrogatepass") if path.exists() else None
    return [recording for recording in chunk.recordings if recording.clip_id == name]
