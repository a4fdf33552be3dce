"""What makes a score on a store mean less than it seems."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from avfusion.corpora.labels import ClassesOf, whole_label
from avfusion.corpora.recording import listed
from avfusion.corpora.spelling import canonical
from avfusion.data.index import Codes

Clip = Mapping[str, Any]  # its row of these columns
CONTENT = ("clip_id", "label", "split", "face_digest", "audio_digest")
WHY = {
    "same_sound_in_two_splits": "the same sound is in two splits, so a test would score memory",
    "same_picture_in_two_splits": "the same picture is in two splits, so a test would score memory",
    "two_labels_for_one_recording": "the same recording has more than one label",
    "untrained_classes": "there are clips to validate or test on, but none to train on, of classes",
}


def find_leaks(clips: pa.Table, classes_of: ClassesOf = whole_label) -> dict[str, list[str]]:
    """Return, under the names of WHY, the clips or classes that are concerned.

    ``clips`` are the columns ``CONTENT`` of an index.
    """
    sounds = by_content(clips, "audio_digest")
    pictures = by_content(clips, "face_digest")
    silent = by_content(clips.filter(clips["audio_digest"].is_null()), "face_digest")
    return {
        "same_sound_in_two_splits": told_apart(sounds, by="split"),
        "same_picture_in_two_splits": told_apart(pictures, by="split"),
        "two_labels_for_one_recording": told_apart(sounds, "label") + told_apart(silent, "label"),
        "untrained_classes": untrained(_pairs(clips), classes_of),
        # No fault of a split, but worth knowing: RAVDESS has such a pair.
        "same_sound_twice": [" = ".join(clip["clip_id"] for clip in group) for group in sounds],
    }


def by_content(clips: pa.Table, digest: str) -> list[list[Clip]]:
    """Return the clips of each content that occurs more than once; those are few."""
    column = clips[digest]
    rows = np.flatnonzero(column.is_valid().to_numpy())
    values = column.drop_null().to_numpy()
    ordered = np.sort(values)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    groups = defaultdict(list)
    for clip in clips.take(rows[np.isin(values, twice)]).to_pylist():
        groups[clip[digest]].append(clip)
    return list(groups.values())


def told_apart(groups: Sequence[Sequence[Clip]], by: str) -> list[str]:
    """Name the clips of each content that occurs with different values in one column."""
    return [
        " = ".join(f"{clip['clip_id']} ({clip[by]})" for clip in group)
        for group in groups
        if len({canonical(clip[by]) for clip in group}) > 1
    ]


def _pairs(clips: pa.Table) -> list[tuple[str, str]]:
    """Return the splits with the labels that occur there, in the order of the clips."""
    splits, labels = (Codes.of(clips[name]) for name in ("split", "label"))
    pairs = splits.numbers * np.int64(len(labels.names)) + labels.numbers
    firsts = np.sort(np.unique(pairs, return_index=True)[1])
    return list(zip(splits.texts(firsts), labels.texts(firsts), strict=True))


def untrained(pairs: Iterable[tuple[str, str]], classes_of: ClassesOf = whole_label) -> list[str]:
    """Return the classes without any training clip, where there are training clips.

    ``pairs`` are split and label of clips, each pair at least once.
    """
    names: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for split, label in pairs:
        for name in classes_of(label):
            names[split == "train"].setdefault(canonical(name), name)
    trained, other = names[True], names[False]
    return sorted(other[key] for key in other.keys() - trained.keys()) if trained else []


def refuse_leaks(leaks: Mapping[str, Sequence[str]], allowed: Collection[str]) -> None:
    """Refuse what falsifies results, unless it is allowed by name; one error names all of it."""
    sentences = [
        f"{len(found)} times {WHY[name]}: {listed(list(found))}. Correct the corpus, or set "
        f"corpus.allow_{name}=true, which every result then records."
        for name, found in leaks.items()
        if found and name in WHY and name not in allowed
    ]
    if sentences:
        raise ValueError(" ".join(sentences))
