"""From a corpus to a store."""

import csv
import hashlib
import json
import os
import re
import shutil
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from avfusion.corpora import Contents, Corpus
from avfusion.data.description import describe, skipped_reasons
from avfusion.data.part import Part, write_part
from avfusion.data.statistics import Moments
from avfusion.data.store import FORMAT, shard_file
from avfusion.features import Features
from avfusion.parallel import run_parallel

SHARD_BYTES = 4 * 2**30  # few shards, so that a batch is gathered with few calls
PART_CLIPS = 64  # that a process takes at a time


def prepare(
    corpus: Corpus, features: Features, stores: str | Path, workers: int | None = None
) -> Path:
    """Return the store of a corpus under these settings, made if it is not there yet.

    It is written beside its place and moved there whole. Its name holds a digest of the settings,
    of the contents, and of the size and time of every file.
    """
    contents = corpus.read()
    root = Path(stores) / f"{safe(corpus.name)}-{digest(corpus, contents, features)}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{root}.lock"):
        if not root.exists():
            partial = Path(f"{root}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            fill(partial, corpus, contents, features, workers)
            os.replace(partial, root)
    return root


def fill(
    root: Path, corpus: Corpus, contents: Contents, features: Features, workers: int | None
) -> None:
    """Write everything that a store holds."""
    parts = allocate(root, corpus, contents, features)
    sizes = [len(part.recordings) for part in parts]
    results = dict(run_parallel(write_part, parts, sizes, f"Preparing {corpus.name}", workers))
    written = [results[number] for number in range(len(parts))]
    outcomes = [outcome for part in written for outcome in part.outcomes]
    kept = [outcome.index for outcome in outcomes if outcome.index]
    if not kept:
        raise ValueError(
            f"None of the {len(outcomes)} clips of {corpus.name} can be used: "
            f"{skipped_reasons(outcomes)}."
        )
    write_csv(root / "report.csv", [outcome.report() for outcome in outcomes])
    write_csv(root / "index.csv", kept)
    moments = {
        name: Moments.sum(part.moments[name] for part in written) for name in ("face", "audio")
    }
    description = describe(corpus.name, contents, features, outcomes) | {
        "face": {"channels": 3, **moments["face"].mean_and_deviation(scale=1 / 255)},
        "audio": {"features": features.audio.features, **moments["audio"].mean_and_deviation()},
        "checksums": checksums(root),
    }
    (root / "description.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def allocate(root: Path, corpus: Corpus, contents: Contents, features: Features) -> list[Part]:
    """Create the shards, full of zeros, and return what is to be written where."""
    clip_bytes = sum(array.nbytes for array in features.arrays(1).values())
    length = max(1, SHARD_BYTES // clip_bytes)
    parts = []
    for shard, start in enumerate(range(0, len(contents.recordings), length)):
        recordings = contents.recordings[start : start + length]
        for name, array in features.arrays(1).items():
            file = shard_file(root, name, shard)
            file.parent.mkdir(exist_ok=True)
            shape = (len(recordings), *array.shape[1:])
            np.lib.format.open_memmap(file, "w+", array.dtype, shape)
        for first in range(0, len(recordings), PART_CLIPS):
            some = recordings[first : first + PART_CLIPS]
            parts.append(Part(root, shard, first, some, features, corpus.on_error))
    return parts


def checksums(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the store."""
    sums = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            sums[path.relative_to(root).as_posix()] = hashlib.file_digest(
                file, "sha256"
            ).hexdigest()
    return sums


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows under a header of their keys."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def digest(corpus: Corpus, contents: Contents, features: Features) -> str:
    """Return eight digits that change with whatever would change the store."""
    settings = [FORMAT, asdict(features), corpus.on_error, contents[1:]]
    state = hashlib.sha256(json.dumps(settings).encode())
    for recording in contents.recordings:
        paths = [sorted(path.iterdir()) if path.is_dir() else [path] for path in recording.sources]
        stats = [path.stat() for path in chain(*paths)]
        files = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
        state.update(repr((recording, files)).encode())
    return state.hexdigest()[:8]


def safe(name: str) -> str:
    """Return a name without what a shell or the override grammar would trip over."""
    return re.sub(r"[^\w.-]+", "_", name).strip("_") or "corpus"
