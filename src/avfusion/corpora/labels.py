"""The label of a clip: one class or, in multi-label data, the names of several."""

from collections import Counter
from collections.abc import Sequence

from avfusion.corpora.recording import Recording, listed

BETWEEN = "|"  # the classes of a label


def classes_of(label: str, multilabel: bool) -> list[str]:
    """Return the classes that a label names."""
    return label.split(BETWEEN) if multilabel else [label]


def label_of(classes: Sequence[str]) -> str:
    """Return the label that names some classes, the same one in whichever order they are."""
    return BETWEEN.join(sorted(classes))


def tidied(label: str, where: str) -> str:
    """Return a label of several classes in its one spelling, or refuse it with where it stands."""
    classes = [name.strip() for name in label.split(BETWEEN)]
    if not all(classes):
        raise ValueError(
            f"{where} has the label {label!r} with an empty class: write the names of classes with "
            f"one {BETWEEN} between them (for none of them name a class of its own, such as none)."
        )
    if twice := [name for name, count in Counter(classes).items() if count > 1]:
        raise ValueError(
            f"{where} has the label {label!r}, which names {listed(twice)} twice: once is enough."
        )
    return label_of(classes)


def class_names(
    recordings: Sequence[Recording], given: list[str] | None, multilabel: bool
) -> list[str]:
    """Return the classes, and refuse labels outside of them."""
    named = [
        (clip.split, name) for clip in recordings for name in classes_of(clip.label, multilabel)
    ]
    training = {name for split, name in named if split == "train"}
    known = given or sorted(training or {name for _, name in named})
    outside = Counter(name for _, name in named if name not in known)
    if outside:
        names = listed([f"{label!r} ({clips} clips)" for label, clips in outside.items()])
        raise ValueError(
            f"The labels {names} are not among the classes {known}: correct them, or set "
            "corpus.classes=[...] (without it, the labels of the training split count)."
        )
    return known
