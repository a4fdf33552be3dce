"""Descriptions of a store and of its splits, as plain containers for programs."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from avfusion.corpora import Contents
from avfusion.corpora.labels import ClassesOf
from avfusion.data.index import Codes
from avfusion.data.leaks import (
    CONTENT,
    find_leaks,
    find_shared_subjects,
    sentence_of_overlap,
    sentences_of,
)
from avfusion.data.outcome import kinds_of
from avfusion.data.record import BOX
from avfusion.data.splits import Splits
from avfusion.data.store import FORMAT, Store
from avfusion.features import Features
from avfusion.features.identity import identify
from avfusion.targets import choose_target

COLUMNS = ("note", BOX[0])


def describe(
    name: str,
    contents: Contents,
    features: Features,
    clips: pa.Table,
    skipped: Mapping[str, int],
) -> dict[str, Any]:
    """Return what a network and a result have to know of a store, whatever its splits.

    ``clips`` are the ``COLUMNS`` of its index, ``skipped`` counts the reasons of the others.
    """
    return {
        "format": FORMAT,
        "corpus": name,
        "class_names": contents.class_names,
        "labels": contents.labels,
        "skipped": dict(skipped),
        "notes": dict(count_kinds(Codes.of(clips["note"]).counts())),
        "boxes": clips[BOX[0]].null_count < len(clips),
        "features": identify(features, "features"),
    }


def describe_splits(store: Store, splits: Splits) -> dict[str, Any]:
    """Return the description of a store with what depends on its splits.

    That are the classes and the statistics of the training clips, and leakage between splits.
    """
    told, training = store.description, splits.where("train")
    classes_of = choose_target(told).classes_of
    clips = splits.tabulate(store.columns("subject", *CONTENT))
    classes = count_classes(store.labels.counts(training), classes_of)
    statistics: dict[str, dict[str, list[float]]] = {}
    for name, stream in store.streams.items():
        moments = store.moments(name, training)
        if moments is not None:
            scale = 1 / 255 if stream.kind == "pictures" else 1  # as networks read pictures
            statistics[name] = moments.mean_and_deviation(scale)
    return told | {
        "splits": splits.record,
        "class_counts": [classes[label] for label in told["class_names"]],
        "clips": splits.counts(),
        "shared_subjects": find_shared_subjects(clips),
        "leaks": find_leaks(clips, classes_of) | told["leaks"],
        "streams": {
            name: values | statistics.get(name, {}) for name, values in told["streams"].items()
        },
    }


def refuse_splits(
    store: Store, splits: Splits, leaks: Mapping[str, list[str]], allowed: Collection[str]
) -> None:
    """Refuse splits by which a test would score memory, unless that is allowed by name.

    ``leaks`` are those of their description.
    """
    inherent = {*store.description["allowed_leaks"], *store.description["leaks"]}
    sentences = sentences_of(leaks, {*allowed, *inherent})
    if "subject_overlap" not in allowed:
        overlap = sentence_of_overlap(splits.tabulate(store.columns("subject")))
        sentences += [overlap] * bool(overlap)
    if sentences:
        raise ValueError(f"data.splits={splits.plan} of {store.root}: {' '.join(sentences)}")


def count_classes(labels: Mapping[str, int], classes_of: ClassesOf) -> Counter[str]:
    """Return how many clips have each class, from how many have each label."""
    counts: Counter[str] = Counter()
    for label, clips in labels.items():
        for name in classes_of(label):
            counts[name] += clips
    return counts


def count_kinds(notes: Mapping[str, int]) -> Counter[str]:
    """Return how many clips have each kind of note, from how many have each note."""
    counts: Counter[str] = Counter()
    for note, clips in notes.items():
        for kind in kinds_of(note):
            counts[kind] += clips
    return counts


def skipped_reasons(skipped: Mapping[str, int]) -> str:
    """List the reasons why clips were skipped, the most frequent first."""
    return ", ".join(f"{reason} ({count})" for reason, count in Counter(skipped).most_common())
