"""Labels of clips, as a table gives them: one name, such as that of a class, or several."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

from avfusion.corpora.mistakes import Mistakes, WrongClips, WrongLine
from avfusion.corpora.recording import Recording
from avfusion.corpora.spelling import canonical
from avfusion.messages import join_items

log = logging.getLogger(__name__)
BETWEEN = "|"  # the names in a label
BARS = re.compile(r"[|\uff5c]")  # as people type it, also on a full-width keyboard


ClassesOf = Callable[[str], list[str]]  # the classes that a label names


class Label(NamedTuple):
    """The label of one clip; where it names numbers, they follow in the order of their names."""

    names: str
    numbers: tuple[float, ...] = ()


@runtime_checkable
class LabelReader(Protocol):
    """Labels of one kind, read from the rows of a table.

    ``columns`` are those that it reads, by our names for them. What is wrong with a row goes to
    ``mistakes``; what is wrong with some clips together is raised.
    """

    columns: Mapping[str, str]

    @property
    def kind(self) -> str:
        """The kind of target that the labels are for; known once all rows are read."""
        ...

    def read(self, line: int, row: Mapping[str, str], mistakes: Mistakes) -> Label:
        """Read the label of a row."""
        ...

    def tidy(self, recordings: Mapping[int, Recording], mistakes: Mistakes) -> list[Recording]:
        """Return all recordings, which are given by their lines, with tidy labels."""
        ...

    def name(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Return recordings with their final labels, and the names of the outputs."""
        ...


class ClassLabels:
    """Labels that name one class or, with ``|`` between them, several.

    ``several`` says which; None: several, if any label does. ``classes`` are their names; None:
    those that occur.
    """

    def __init__(
        self, column: str, classes: Sequence[str] | None = None, several: bool | None = None
    ) -> None:
        self.columns: Mapping[str, str] = {"label": column}
        self.classes = classes
        self.several = several

    @property
    def kind(self) -> str:
        """The kind of target that the labels are for."""
        return "multi_label" if self.several else "single_label"

    def read(self, line: int, row: Mapping[str, str], mistakes: Mistakes) -> Label:
        """Read the label of a row."""
        return Label(row.get("label", ""))

    def tidy(self, recordings: Mapping[int, Recording], mistakes: Mistakes) -> list[Recording]:
        """Return recordings whose labels, where they name several classes, do so in one way."""
        if self.several is None:
            self.several = any(names_several(clip.label) for clip in recordings.values())
        if not self.several:
            return list(recordings.values())
        tidy = []
        for line, clip in recordings.items():
            label = ""
            with mistakes.of_line(line):
                label = tidied(clip.label) if clip.label else ""
            tidy.append(replace(clip, label=label))
        return tidy

    def name(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Return the labeled recordings with one spelling for each class, and the classes."""
        labeled = [clip for clip in recordings if clip.label]
        return name_classes(labeled, self.classes, split_label if self.several else whole_label)


def whole_label(label: str) -> list[str]:
    """Return the one class that a label names, whatever signs are in it."""
    return [label]


def split_label(label: str) -> list[str]:
    """Return the classes that a label of several names."""
    return label.split(BETWEEN)


def label_of(classes: Sequence[str]) -> str:
    """Return the label that names some classes, the same one in whichever order they are."""
    return BETWEEN.join(sorted(classes))


def names_several(label: str) -> bool:
    """Say whether a label, as people type it, has the bar between the names of classes."""
    return BARS.search(label) is not None


def tidied(label: str) -> str:
    """Return a label of several classes with one bar between them and no blanks, or refuse it."""
    classes = [name.strip() for name in BARS.split(label)]
    if not all(map(canonical, classes)):
        raise WrongLine(
            f"has the label {label!r} with an empty class",
            f"write the names of classes with one {BETWEEN} between them (for none of them name a "
            "class of its own, such as none)",
        )
    counts = Counter(map(canonical, classes))
    if twice := [name for name in classes if counts[canonical(name)] > 1]:
        raise WrongLine(f"has the label {label!r}, which names {twice[0]} twice", "once is enough")
    return label_of(classes)


def name_classes(
    recordings: Sequence[Recording], given: Sequence[str] | None, classes_of: ClassesOf
) -> tuple[list[Recording], list[str]]:
    """Return recordings with one spelling for each class, and the classes in their order.

    Labels that look alike (see ``canonical``) are one class. It is spelled as ``given`` or, without
    that, as most clips spell it that the corpus itself trains on; where it says of none that it
    does, all clips count. Labels of none of the classes are refused.
    """
    found = spellings(recordings, classes_of)
    if given is None:
        training = spellings([clip for clip in recordings if clip.split == "train"], classes_of)
        counts = (training or found).values()
        names = sorted(some.most_common(1)[0][0] for some in counts)
    else:
        names = list(given)
    known = {canonical(name): name for name in names}
    check_known(recordings, found, known, classes_of)
    several = [listed_spellings(known[key], some) for key, some in found.items() if len(some) > 1]
    if several:
        log.warning("Labels that look alike are one class: %s.", join_items(several))
    return [respelled(clip, known, classes_of) for clip in recordings], names


def spellings(recordings: Sequence[Recording], classes_of: ClassesOf) -> dict[str, Counter[str]]:
    """Return how many clips spell each class how, by the canonical names of the classes."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    labels = Counter(clip.label for clip in recordings)
    for label, clips in labels.items():
        for name in classes_of(label):
            counts[canonical(name)][name] += clips
    return counts


def listed_spellings(name: str, counts: Counter[str]) -> str:
    """Return a class with its spellings, so written that they can be told apart."""
    return f"{name} ({', '.join(f'{said!a} {clips} times' for said, clips in counts.items())})"


def check_known(
    recordings: Sequence[Recording],
    found: Mapping[str, Counter[str]],
    known: Mapping[str, str],
    classes_of: ClassesOf,
) -> None:
    """Refuse labels that name none of the classes, which are known by their canonical names."""
    outside = {key: some for key, some in found.items() if key not in known}
    if outside:
        names = [f"{next(iter(some))!r} ({some.total()} clips)" for some in outside.values()]
        raise WrongClips(
            f"The labels {join_items(names)} are not among the classes {[*known.values()]}: "
            "correct them, or set corpus.classes=[...] (without it, the labels of the "
            "training split count).",
            [
                clip
                for clip in recordings
                if outside.keys() & map(canonical, classes_of(clip.label))
            ],
        )


def check_classes(names: Sequence[str]) -> None:
    """Refuse classes that look alike, as labels would not say which of them is meant."""
    groups = defaultdict(list)
    for name in names:
        groups[canonical(name)].append(name)
    for key, alike in groups.items():
        if not key or len(alike) > 1:
            raise ValueError(
                f"corpus.classes names {join_items([ascii(name) for name in alike])}: each class "
                "needs one name, and case, blanks and accents typed otherwise do not tell names "
                "apart."
            )


def respelled(clip: Recording, known: Mapping[str, str], classes_of: ClassesOf) -> Recording:
    """Return a clip whose label has the known spellings of its classes."""
    label = label_of([known[canonical(name)] for name in classes_of(clip.label)])
    return clip if label == clip.label else replace(clip, label=label)
