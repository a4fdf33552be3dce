"""Data leakage between the splits of a store, and other faults that make a score mean less."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from avfusion.corpora.labels import ClassesOf, keep_label
from avfusion.corpora.numbers import format_label
from avfusion.corpora.spelling import normalize_name
from avfusion.data.index import Codes, read_numbers
from avfusion.data.splits import Splits
from avfusion.data.store import Store
from avfusion.messages import join_items, pluralize
from avfusion.preparation.takes import find_split_takes

Clip = Mapping[str, Any]  # its row of these columns
CONTENT_COLUMNS = ("clip_id", "label", "face_digest", "audio_digest")
EXPLANATIONS = {
    "same_sound_in_two_splits": "The same sound is in two splits, so a test would score memory",
    "same_picture_in_two_splits": "The same picture is in two splits, so a test would score memory",
    "same_take_in_two_splits": "The same take is in two splits, so a test would score memory",
    "two_labels_for_one_recording": "The same recording has more than one label",
    "untrained_classes": "There are clips to validate or test on, but none to train on, of classes",
}


def find_repeats(clips: pa.Table) -> dict[str, list[str]]:
    """Clips that have the same content, whatever their splits.

    ``clips`` are the columns ``CONTENT_COLUMNS`` of an index, with those of numbers. Two labels for
    one recording falsify results, the same sound twice is no fault, but worth knowing: RAVDESS has
    such a pair.
    """
    sounds = group_by_content(clips, "audio_digest")
    silent = group_by_content(clips.filter(clips["audio_digest"].is_null()), "face_digest")
    return {
        "two_labels_for_one_recording": describe_differing(sounds, _label)
        + describe_differing(silent, _label),
        "same_sound_twice": [" = ".join(clip["clip_id"] for clip in group) for group in sounds],
    }


def find_leaks(clips: pa.Table, classes_of: ClassesOf = keep_label) -> dict[str, list[str]]:
    """Return, under the names of ``EXPLANATIONS``, what is wrong with the splits of clips.

    ``clips`` are the columns ``CONTENT_COLUMNS`` of an index, with the column ``split`` of a plan.
    """
    return {
        "same_sound_in_two_splits": describe_differing(
            group_by_content(clips, "audio_digest"), _split
        ),
        "same_picture_in_two_splits": describe_differing(
            group_by_content(clips, "face_digest"), _split
        ),
        "untrained_classes": find_untrained_classes(clips, classes_of),
    }


def find_split_leaks(
    store: Store, splits: Splits, classes_of: ClassesOf = keep_label
) -> dict[str, list[str]]:
    """Find leakage between splits of a store: see ``find_leaks``; also takes in several splits."""
    clips = splits.tabulate(store.columns(*CONTENT_COLUMNS))
    takes = {"same_take_in_two_splits": find_split_takes(store, splits)}
    return find_leaks(clips, classes_of) | takes


def find_shared_subjects(clips: pa.Table) -> list[str] | None:
    """Find the subjects in more than one split, as they are spelled first (see ``normalize_name``).

    ``clips`` have the columns ``subject`` and ``split``. None: no clip says whose it is.
    """
    if not any(map(normalize_name, Codes.of(clips["subject"]).names)):
        return None
    return [spellings[0] for spellings in _spellings_of_shared(clips)]


def _spellings_of_shared(clips: pa.Table) -> list[list[str]]:
    """List the spellings of each subject that is in more than one split."""
    spellings: dict[str, list[str]] = defaultdict(list)
    splits = defaultdict(set)
    for split, name in _pairs(clips, "subject"):
        key = normalize_name(name)
        splits[key].add(split)
        if name not in spellings[key]:
            spellings[key].append(name)

    return sorted(spellings[key] for key, found in splits.items() if key and len(found) > 1)


def group_by_content(clips: pa.Table, digest: str) -> list[list[Clip]]:
    """Clips of each content that occurs more than once; those are few."""
    column = clips[digest]
    rows = np.flatnonzero(column.is_valid().to_numpy())
    values = column.drop_null().to_numpy()
    ordered = np.sort(values)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    groups = defaultdict(list)
    for clip in clips.take(rows[np.isin(values, twice)]).to_pylist():
        groups[clip[digest]].append(clip)

    return list(groups.values())


def describe_differing(groups: Sequence[Sequence[Clip]], by: Callable[[Clip], str]) -> list[str]:
    """Name the clips of each content of which something is not the same for all."""
    return [
        " = ".join(f"{clip['clip_id']} ({by(clip)})" for clip in group)
        for group in groups
        if len({normalize_name(by(clip)) for clip in group}) > 1
    ]


def _label(clip: Clip) -> str:
    return format_label(clip["label"], read_numbers(clip))


def _split(clip: Clip) -> str:
    return clip["split"]


def _pairs(clips: pa.Table, column: str) -> list[tuple[str, str]]:
    """Splits with what occurs there in a column, in the order of the clips."""
    splits, labels = (Codes.of(clips[name]) for name in ("split", column))
    pairs = splits.numbers * np.int64(len(labels.names)) + labels.numbers
    firsts = np.sort(np.unique(pairs, return_index=True)[1])
    return list(zip(splits.texts(firsts), labels.texts(firsts), strict=True))


def find_untrained_classes(clips: pa.Table, classes_of: ClassesOf = keep_label) -> list[str]:
    """Classes without any training clip, where there are training clips.

    ``clips`` have the columns ``label`` and ``split``.
    """
    names: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for split, label in _pairs(clips, "label"):
        for name in classes_of(label):
            names[split == "train"].setdefault(normalize_name(name), name)
    trained, other = names[True], names[False]
    return sorted(other[key] for key in other.keys() - trained.keys()) if trained else []


def refuse_splits(
    store: Store, splits: Splits, leaks: Mapping[str, list[str]], allowed: Collection[str]
) -> None:
    """Refuse splits by which a test would score memory, unless that is allowed by name.

    ``leaks`` are those of their description.
    """
    inherent = {*store.description["allowed_leaks"], *store.description["leaks"]}
    sentences = describe_leaks(leaks, {*allowed, *inherent})
    if "subject_overlap" not in allowed:
        overlap = describe_subject_overlap(splits.tabulate(store.columns("subject")))
        sentences += [overlap] * bool(overlap)

    if sentences:
        raise ValueError(f"{splits.spelled} of {store.address}: {' '.join(sentences)}")


def refuse_leaks(leaks: Mapping[str, Sequence[str]], allowed: Collection[str]) -> None:
    """Refuse what falsifies results, unless it is allowed by name; one error names all of it."""
    if sentences := describe_leaks(leaks, allowed):
        raise ValueError(" ".join(sentences))


def describe_leaks(leaks: Mapping[str, Sequence[str]], allowed: Collection[str]) -> list[str]:
    """Sentence about each kind of leakage that is found and not allowed."""
    return [
        f"{EXPLANATIONS[name]}: {join_items(found)}. {_cure(name)}"
        for name, found in leaks.items()
        if found and name in EXPLANATIONS and name not in allowed
    ]


def _cure(name: str) -> str:
    if name == "two_labels_for_one_recording":
        cure = f"Correct the corpus, or set corpus.allow_{name}=true"
    else:
        cure = f"Choose other data.splits, or set data.allow_{name}=true"
    return f"{cure}, which every result then records."


def describe_subject_overlap(clips: pa.Table) -> str:
    """Sentence about the subjects in more than one split, empty where none is.

    ``clips`` have the columns ``subject`` and ``split``.
    """
    spellings = _spellings_of_shared(clips)
    if not spellings:
        return ""
    several = [" = ".join(map(ascii, names)) for names in spellings if len(names) > 1]
    alike = f" (spellings that look alike are one: {join_items(several)})" if several else ""
    verb = "is" if len(spellings) == 1 else "are"
    return (
        f"{pluralize(len(spellings), 'subject')} {verb} in more than one split "
        f"({join_items([names[0] for names in spellings])}){alike}, so a test would score memory: "
        "choose other data.splits, or set data.allow_subject_overlap=true, which every result "
        "then records."
    )
