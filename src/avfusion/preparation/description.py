"""Description of a store and of its splits, and the last step of a preparation, which writes it."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from avfusion.corpora import Contents, Corpus
from avfusion.corpora.labels import ClassesOf
from avfusion.corpora.spelling import escape_surrogates
from avfusion.data.computed import STREAM_FILE, read_computed
from avfusion.data.files import Folder
from avfusion.data.index import BOX, Codes, Index, IndexWriter
from avfusion.data.splits import Splits
from avfusion.data.store import INDEX_FILE, STORE_FORMAT, Store, read_description
from avfusion.features import Features
from avfusion.features.identity import identify_features
from avfusion.files import hash_file, open_csv
from avfusion.messages import join_items
from avfusion.preparation.leakage import (
    CONTENT_COLUMNS,
    find_repeats,
    find_shared_subjects,
    find_split_leaks,
)
from avfusion.preparation.near_duplicates import (
    Fingerprints,
    find_near_duplicates,
    write_near_duplicates,
)
from avfusion.preparation.shards import (
    REPORT_COLUMNS,
    Chunk,
    DecodingResult,
    list_note_kinds,
    read_journal,
)
from avfusion.targets import choose_target

DESCRIBED_COLUMNS = ("note", BOX[0])


class StoreFacts(NamedTuple):
    """Facts of a description that are those of no clip, in plain containers, which JSON keeps.

    ``attributes`` are the names of attributes of clips, ``allowed_leaks`` the kinds of leakage
    that are in the nature of these clips, ``left_out`` the rows of the report about the clips that
    the corpus does not offer.
    """

    corpus: str
    output_names: list[str]
    labels: str
    features: dict[str, Any]
    streams: dict[str, dict[str, Any]]
    attributes: list[str]
    allowed_leaks: list[str]
    left_out: list[dict[str, str]]

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        contents: Contents,
        features: Features,
        allowed_leaks: Collection[str] = (),
    ) -> "StoreFacts":
        """Facts of a store of some contents under some settings."""
        return cls(
            corpus.name,
            list(contents.output_names),
            contents.labels,
            identify_features(features),
            {name: stream.plain() for name, stream in features.streams.items()},
            sorted({name for clip in contents.recordings for name, _ in clip.attributes}),
            sorted(allowed_leaks),
            report_left_out(contents),
        )


def describe_store(
    facts: StoreFacts, clips: pa.Table, skipped: Mapping[str, int]
) -> dict[str, Any]:
    """Describe a store for networks and results, whatever its splits.

    ``clips`` are the ``DESCRIBED_COLUMNS`` of its index, ``skipped`` counts the reasons of the
    others.
    """
    return {
        "format": STORE_FORMAT,
        "corpus": facts.corpus,
        "output_names": facts.output_names,
        "labels": facts.labels,
        "skipped": dict(skipped),
        "notes": dict(count_kinds(Codes.of(clips["note"]).counts())),
        "boxes": clips[BOX[0]].null_count < len(clips),
        "features": facts.features,
    }


def describe_splits(store: Store, splits: Splits, streams: Collection[str] = ()) -> dict[str, Any]:
    """Description of a store with what depends on its splits.

    That are the classes and the statistics of the training clips, and leakage between splits. Of
    the streams that encoders have computed, those named in ``streams`` are described: what else a
    store has got in the meantime changes no training.
    """
    description, training = store.description, splits.where("train")
    classes_of = choose_target(description).classes_of
    clips = splits.tabulate(store.columns("subject"))
    classes = count_classes(store.labels.counts(training), classes_of)
    described = dict(description["streams"])
    described |= {
        name: store.computed[name].stream.plain() for name in streams if name in store.computed
    }

    for name in described:
        stream, moments = store.streams[name], store.moments(name, training)
        if moments is not None:
            scale = 1 / 255 if stream.kind == "pictures" else 1  # as networks read pictures
            statistics: dict[str, Any] = moments.mean_and_deviation(scale)
            if stream.layers:
                statistics = {
                    key: split_layers(one, stream.layers) for key, one in statistics.items()
                }
            described[name] = described[name] | statistics

    return description | {
        "splits": splits.record,
        "class_counts": [classes[label] for label in description["output_names"]],
        "clips": splits.counts(),
        "shared_subjects": find_shared_subjects(clips),
        "leaks": find_split_leaks(store, splits, classes_of) | description["leaks"],
        "streams": described,
    }


def split_layers(numbers: list[float], layers: int) -> list[list[float]]:
    """Arrange numbers of the features of all layers, one layer after the other, by layer."""
    features = len(numbers) // layers
    return [numbers[first : first + features] for first in range(0, len(numbers), features or 1)]


def count_classes(labels: Mapping[str, int], classes_of: ClassesOf) -> Counter[str]:
    """Count the clips of each class, from those of each label."""
    counts: Counter[str] = Counter()
    for label, clips in labels.items():
        for name in classes_of(label):
            counts[name] += clips
    return counts


def count_kinds(notes: Mapping[str, int]) -> Counter[str]:
    """Count the clips with each kind of note, from those with each note."""
    counts: Counter[str] = Counter()
    for note, clips in notes.items():
        for kind in list_note_kinds(note):
            counts[kind] += clips
    return counts


def list_skipped_reasons(skipped: Mapping[str, int]) -> str:
    """List the reasons why clips were skipped, the most frequent first."""
    return ", ".join(f"{reason} ({count})" for reason, count in Counter(skipped).most_common())


def read_results(chunks: Iterable[Chunk]) -> Iterator[tuple[DecodingResult, dict[str, str]]]:
    """Yield the result of decoding each recording, with its row of the report.

    The journals are read one after the other, so that the results of a large corpus need no room
    at once.
    """
    for chunk in chunks:
        for result, recording in zip(read_journal(chunk), chunk.recordings, strict=True):
            yield result, result.to_report_row(recording)


def write_description(
    root: Path,
    facts: StoreFacts,
    results: Iterable[tuple[DecodingResult, dict[str, str]]],
    may_be_empty: bool = False,
) -> None:
    """Write everything that a store holds beside its shards.

    Raises:
        ValueError: no clip can be used, and the store may not be empty.
    """
    skipped: Counter[str] = Counter()
    details: list[str] = []  # for as long as no clip can be used
    sounds, pictures = Fingerprints(), Fingerprints()
    names = choose_target({"output_names": facts.output_names, "labels": facts.labels}).number_names
    with (
        open_csv(root / "report.csv", REPORT_COLUMNS) as report,
        IndexWriter(root / INDEX_FILE, names, facts.attributes) as writer,
    ):
        for result, row in results:
            report.writerow(row)
            if result.record is not None:
                sounds.add(writer.written, result.sound)
                pictures.add(writer.written, result.picture)
                writer.write(result.record)
                continue
            skipped[result.reason] += 1
            if not writer.written:
                details.append(result.detail)
        report.writerows(facts.left_out)

    if not writer.written and not may_be_empty:
        raise ValueError(
            f"None of the {len(details)} clips of {facts.corpus} can be used: "
            f"{list_skipped_reasons(skipped)}. {join_items(details)}"
        )

    index = Index(root / INDEX_FILE)
    if "near_duplicates" not in facts.allowed_leaks:
        write_near_duplicates(root, find_near_duplicates(index, sounds, pictures))
    left_out = dict(Counter(row["reason"] for row in facts.left_out))
    description = describe_store(facts, index.columns(*DESCRIBED_COLUMNS), skipped) | {
        "streams": facts.streams,
        "leaks": find_repeats(index.columns(*CONTENT_COLUMNS, *index.number_columns)),
        "allowed_leaks": facts.allowed_leaks,
        **({"left_out": left_out} if left_out else {}),
        "checksums": compute_checksums(root),
    }
    (root / "description.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def count_left_out(contents: Contents) -> Counter[str]:
    """Count the clips of a corpus that are left out for each reason."""
    return Counter(clip.reason for clip in contents.left_out)


def report_left_out(contents: Contents) -> list[dict[str, str]]:
    """Rows of the report about the clips that a corpus has and does not offer."""
    return [
        {
            "clip_id": clip.clip_id,
            "outcome": "left out",
            "reason": clip.reason,
            "detail": clip.detail,
            "source": escape_surrogates(clip.source or ""),
        }
        for clip in contents.left_out
    ]


def verify_checksums(root: Path) -> None:
    """Refuse a store whose files are not those that were written."""
    computed = read_computed(Folder(root))
    promised, found = read_description(root)["checksums"], compute_checksums(root, computed)
    for name, one in computed.items():
        promised |= {f"{name}/{file}": sum for file, sum in one.description["checksums"].items()}
        files = (file for file in one.folder.iterdir() if file.name != STREAM_FILE)
        found |= {f"{name}/{file.name}": hash_file(file) for file in files}

    other = sorted(name for name in promised | found if promised.get(name) != found.get(name))
    if other:
        raise ValueError(
            f"{len(other)} files of {root} are not as they were written ({join_items(other)}): "
            "delete the folder and prepare the corpus again."
        )


def compute_checksums(root: Path, excluded: Collection[str] = ()) -> dict[str, str]:
    """SHA-256 of every file of the store, but for those of some folders."""
    sums = {}
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        name = path.relative_to(root)
        if name.parts[0] not in excluded and name.name != "description.json":
            sums[name.as_posix()] = hash_file(path)

    return sums
