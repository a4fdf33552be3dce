"""What makes a score on a store mean less than it seems."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from avfusion.corpora.labels import ClassesOf, whole_label
from avfusion.corpora.recording import listed
from avfusion.corpora.spelling import canonical

Clip = Mapping[str, Any]  # a row of the index
WHY = {
    "same_sound_in_two_splits": "the same sound is in two splits, so a test would score memory",
    "same_picture_in_two_splits": "the same picture is in two splits, so a test would score memory",
    "two_labels_for_one_recording": "the same recording has more than one label",
    "untrained_classes": "there are clips to validate or test on, but none to train on, of classes",
}


def find_leaks(index: Sequence[Clip], classes_of: ClassesOf = whole_label) -> dict[str, list[str]]:
    """Return, under the names of WHY, the clips or classes that are concerned."""
    return {
        "same_sound_in_two_splits": told_apart(index, "audio_digest", by="split"),
        "same_picture_in_two_splits": told_apart(index, "face_digest", by="split"),
        "two_labels_for_one_recording": told_apart(
            [clip for clip in index if clip["audio_digest"]], "audio_digest", by="label"
        )
        + told_apart(
            [clip for clip in index if not clip["audio_digest"]], "face_digest", by="label"
        ),
        "untrained_classes": untrained(index, classes_of),
        # No fault of a split, but worth knowing: RAVDESS has such a pair.
        "same_sound_twice": twice(index, "audio_digest"),
    }


def by_content(index: Sequence[Clip], digest: str) -> list[list[Clip]]:
    """Return the clips of each content that occurs more than once."""
    groups = defaultdict(list)
    for clip in index:
        if clip[digest]:
            groups[clip[digest]].append(clip)
    return [group for group in groups.values() if len(group) > 1]


def twice(index: Sequence[Clip], digest: str) -> list[str]:
    """Name the clips of each content that occurs more than once."""
    return [
        " = ".join(str(clip["clip_id"]) for clip in group) for group in by_content(index, digest)
    ]


def told_apart(index: Sequence[Clip], digest: str, by: str) -> list[str]:
    """Name the clips of each content that occurs with different values in one column."""
    return [
        " = ".join(f"{clip['clip_id']} ({clip[by]})" for clip in group)
        for group in by_content(index, digest)
        if len({canonical(str(clip[by])) for clip in group}) > 1
    ]


def untrained(index: Sequence[Clip], classes_of: ClassesOf = whole_label) -> list[str]:
    """Return the classes without any training clip, where there are training clips."""
    names: dict[bool, dict[str, str]] = {True: {}, False: {}}
    for clip in index:
        for name in classes_of(clip["label"]):
            names[clip["split"] == "train"].setdefault(canonical(name), name)
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
