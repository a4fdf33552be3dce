"""From a corpus to a store."""

import hashlib
import json
import logging
import os
import re
import shutil
from dataclasses import asdict
from itertools import chain
from pathlib import Path

from filelock import FileLock

from avfusion.corpora import Contents, Corpus
from avfusion.data.finish import finish
from avfusion.data.leaks import refuse_leaks, untrained
from avfusion.data.maps import write_maps
from avfusion.data.part import kept
from avfusion.data.store import FORMAT, read_description
from avfusion.data.work import allocate, write_parts
from avfusion.features import Features

log = logging.getLogger(__name__)


def prepare(
    corpus: Corpus,
    features: Features,
    stores: str | Path,
    workers: int | None = None,
    limit: int | None = None,
) -> Path:
    """Return the store of a corpus under these settings, made if it is not there yet.

    It is written beside its place and moved there whole; what an interrupted preparation had
    written is used by the next one. Its name holds a digest of the settings, of the contents, and
    of the size and time of every file. ``limit`` takes only so many clips, spread over the corpus.
    """
    whole = corpus.read()
    contents = limited(whole, limit)
    check_sounds(corpus, contents, features)
    # A few clips may lack a class by chance.
    allowed = {*corpus.allowed_leaks} | ({"untrained_classes"} if limit else set())
    root = store_folder(corpus, contents, features, stores)
    root.parent.mkdir(parents=True, exist_ok=True)
    partial, journals = Path(f"{root}.partial"), Path(f"{root}.parts")
    with FileLock(f"{root}.lock"):
        if not root.exists():
            report_abandoned(root)
            refuse_leaks({"untrained_classes": untrained_classes(whole)}, corpus.allowed_leaks)
            parts = allocate(partial, journals, corpus, contents, features)
            pace = write_parts(parts, f"Preparing {corpus.name}", workers)
            maps = write_maps(partial, parts, features.maps) if features.maps else None
            finish(partial, corpus, contents, features, [kept(part) for part in parts], maps)
            refuse_leaks(read_description(partial)["leaks"], allowed)
            if pace.clips:
                pace_file(root).write_text(json.dumps(pace), encoding="utf-8")
            os.replace(partial, root)
        shutil.rmtree(journals, ignore_errors=True)
    refuse_leaks(read_description(root)["leaks"], allowed)
    return root


def pace_file(root: Path) -> Path:
    """Return where the pace of a preparation is kept: beside the store, not part of it."""
    return Path(f"{root}.pace.json")


def check_sounds(corpus: Corpus, contents: Contents, features: Features) -> None:
    """Refuse settings that would skip each clip of a corpus of pictures."""
    silent = all(recording.place is not None for recording in contents.recordings)
    if silent and features.policies.missing != "mask":
        raise ValueError(
            f"The clips of {corpus.name} have no sound, and features.policies.missing="
            f"{features.policies.missing} keeps none of them: set features=pictures."
        )


def report_abandoned(root: Path) -> None:
    """Tell of what interrupted preparations of this corpus with other settings have left."""
    for other in root.parent.glob(f"{root.name.rpartition('-')[0]}-????????.partial"):
        if other.stem != root.name:
            log.warning("%s was begun with other settings: delete it if it is not needed.", other)


def limited(contents: Contents, limit: int | None) -> Contents:
    """Return contents of at most so many clips, evenly spread."""
    if limit is None or limit >= len(contents.recordings):
        return contents
    step = len(contents.recordings) / limit
    chosen = [contents.recordings[int(number * step)] for number in range(limit)]
    return contents._replace(recordings=chosen)


def untrained_classes(contents: Contents) -> list[str]:
    """Return the classes of a corpus that no training clip has."""
    clips = [{"split": r.split, "label": r.label} for r in contents.recordings]
    return untrained(clips, contents.multilabel)


def store_folder(
    corpus: Corpus, contents: Contents, features: Features, stores: str | Path
) -> Path:
    """Return where the store of a corpus under these settings belongs."""
    return Path(stores) / f"{safe(corpus.name)}-{digest(corpus, contents, features)}"


def digest(corpus: Corpus, contents: Contents, features: Features) -> str:
    """Return eight digits that change with whatever would change the store."""
    chosen = asdict(features)
    del chosen["maps"]  # which say where weights lie, too
    settings = [FORMAT, chosen, corpus.on_error, contents[1:3]]
    if features.maps is not None:
        settings.append(features.maps.identity())
    if contents.multilabel:  # only then, as stores were named without it
        settings.append("multilabel")
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
