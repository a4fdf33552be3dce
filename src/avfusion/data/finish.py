"""Last step of a preparation: index, report, description and checksums of a store."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from avfusion.corpora import Contents, Corpus
from avfusion.corpora.recording import listed
from avfusion.data.description import COLUMNS, describe, skipped_reasons
from avfusion.data.index import Index, IndexWriter
from avfusion.data.leaks import CONTENT, find_repeats
from avfusion.data.outcome import REPORT
from avfusion.data.part import Part, kept
from avfusion.data.store import INDEX, read_description
from avfusion.features import Features
from avfusion.features.stream import Stream


def finish(
    root: Path,
    corpus: Corpus,
    contents: Contents,
    features: Features,
    parts: Sequence[Part],
    allowed_leaks: Collection[str] = (),
    computed: Mapping[str, Stream] | None = None,
) -> None:
    """Write everything that a store holds beside its shards.

    ``allowed_leaks`` are the kinds of leakage that are in the nature of these clips, ``computed``
    the streams that encoders have made of those that decoding gives.

    The journals are read one after the other, so that the outcomes of a large corpus need no room
    at once.
    """
    skipped: Counter[str] = Counter()
    details: list[str] = []  # for as long as no clip can be used
    with table(root / "report.csv", REPORT) as report, IndexWriter(root / INDEX) as writer:
        for part in parts:
            for outcome, recording in zip(kept(part), part.recordings, strict=True):
                report.writerow(outcome.report(recording))
                if outcome.record is not None:
                    writer.write(outcome.record)
                    continue
                skipped[outcome.reason] += 1
                if not writer.written:
                    details.append(outcome.detail)
    if not writer.written:
        raise ValueError(
            f"None of the {len(details)} clips of {corpus.name} can be used: "
            f"{skipped_reasons(skipped)}. {listed(details)}"
        )
    index = Index(root / INDEX)
    streams = features.streams | dict(computed or {})
    description = describe(corpus.name, contents, features, index.columns(*COLUMNS), skipped) | {
        "streams": {name: stream.plain() for name, stream in streams.items()},
        "leaks": find_repeats(index.columns(*CONTENT)),
        "allowed_leaks": sorted(allowed_leaks),
        "checksums": checksums(root),
    }
    (root / "description.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def verify(store: Path) -> None:
    """Refuse a store whose files are not those that were written."""
    promised, found = read_description(store)["checksums"], checksums(store)
    other = sorted(name for name in promised | found if promised.get(name) != found.get(name))
    if other:
        raise ValueError(
            f"{len(other)} files of {store} are not as they were written ({listed(other)}): delete "
            "the folder and prepare the corpus again."
        )


def checksums(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the store."""
    sums = {}
    files = (path for path in root.rglob("*") if path.is_file())
    for path in sorted(file for file in files if file.name != "description.json"):
        with path.open("rb") as file:
            sums[path.relative_to(root).as_posix()] = hashlib.file_digest(
                file, "sha256"
            ).hexdigest()
    return sums


@contextmanager
def table(path: Path, columns: Sequence[str]) -> Iterator["csv.DictWriter[str]"]:
    """Write a CSV row by row, under a header."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        yield writer
