"""What a store holds beside its arrays, written once they are."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from avfusion.corpora import Contents, Corpus
from avfusion.corpora.recording import listed
from avfusion.data.description import COLUMNS, describe, skipped_reasons
from avfusion.data.index import Index, IndexWriter
from avfusion.data.leaks import CONTENT, find_leaks
from avfusion.data.outcome import REPORT
from avfusion.data.part import Part, kept
from avfusion.data.statistics import Moments
from avfusion.data.store import INDEX, read_description
from avfusion.features import Features
from avfusion.features.stream import FRAMES, Stream
from avfusion.targets import choose_target


def finish(
    root: Path,
    corpus: Corpus,
    contents: Contents,
    features: Features,
    parts: Sequence[Part],
    computed: Mapping[str, Stream] | None = None,
) -> None:
    """Write everything that a store holds beside its shards.

    ``computed`` are the streams that encoders have made of those that decoding gives.

    The journals are read one after the other, so that the outcomes of a large corpus need no room
    at once.
    """
    skipped: Counter[str] = Counter()
    details: list[str] = []  # for as long as no clip can be used
    moments = dict.fromkeys((FRAMES, features.audio.stream), Moments.sum(()))
    with table(root / "report.csv", REPORT) as report, IndexWriter(root / INDEX) as writer:
        for part in parts:
            written = kept(part)
            for outcome, recording in zip(written.outcomes, part.recordings, strict=True):
                report.writerow(outcome.report(recording))
                if outcome.record is not None:
                    writer.write(outcome.record)
                    continue
                skipped[outcome.reason] += 1
                if not writer.written:
                    details.append(outcome.detail)
            for name, before in moments.items():
                moments[name] = Moments.sum((before, written.moments[name]))
    if not writer.written:
        raise ValueError(
            f"None of the {len(details)} clips of {corpus.name} can be used: "
            f"{skipped_reasons(skipped)}. {listed(details)}"
        )
    index = Index(root / INDEX)
    streams = features.streams | dict(computed or {})
    for name, total in moments.items():
        scale = 1 / 255 if name == FRAMES else 1  # as networks read pictures
        streams[name] = streams[name].measured(total.mean_and_deviation(scale))
    description = describe(corpus.name, contents, features, index.columns(*COLUMNS), skipped) | {
        "streams": {name: stream.plain() for name, stream in streams.items()},
        "leaks": find_leaks(index.columns(*CONTENT), choose_target(contents._asdict()).classes_of),
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
