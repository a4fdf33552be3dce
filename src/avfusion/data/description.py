"""What a store says of itself to programs."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from avfusion.corpora import SPLITS, Contents
from avfusion.corpora.labels import ClassesOf
from avfusion.data.index import Codes
from avfusion.data.outcome import kinds_of
from avfusion.data.record import BOX
from avfusion.data.store import FORMAT
from avfusion.features import Features
from avfusion.features.identity import identify
from avfusion.targets import choose_target

COLUMNS = ("label", "split", "note", BOX[0])


def describe(
    name: str,
    contents: Contents,
    features: Features,
    clips: pa.Table,
    skipped: Mapping[str, int],
) -> dict[str, Any]:
    """Return what a network and a result have to know of a store, as plain data.

    ``clips`` are the ``COLUMNS`` of its index, ``skipped`` counts the reasons of the others.
    """
    splits, labels, notes = (Codes.of(clips[column]) for column in ("split", "label", "note"))
    counts, target = splits.counts(), choose_target(contents._asdict())
    training = count_classes(labels.counts(splits.where("train")), target.classes_of)
    return {
        "format": FORMAT,
        "corpus": name,
        "class_names": contents.class_names,
        "labels": contents.labels,
        "class_counts": [training[label] for label in contents.class_names],
        "clips": {split: counts[split] for split in SPLITS},
        "skipped": dict(skipped),
        "notes": dict(count_kinds(notes.counts())),
        "shared_subjects": contents.shared_subjects,
        "boxes": clips[BOX[0]].null_count < len(clips),
        "features": identify(features, "features"),
    }


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
