"""Labels of clips in a table: one name, such as that of a class, or several."""

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

from avfusion.corpora.recording import Recording
from avfusion.corpora.spelling import normalize_name
from avfusion.corpora.table_errors import ClipsError, LineError, TableErrors
from avfusion.messages import join_items, pluralize

log = logging.getLogger(__name__)

LABEL_SEPARATOR = "|"  # between the names in a label
TYPED_SEPARATOR = re.compile(r"[|\uff5c]")  # also as a full-width keyboard types it

ClassesOf = Callable[[str], list[str]]  # finds the classes that a label names


class Label(NamedTuple):
    """The label of one clip; where it names numbers, they follow in the order of their names."""

    names: str
    numbers: tuple[float, ...] = ()


@runtime_checkable
class LabelReader(Protocol):
    """Reader of labels of one kind from the rows of a table.

    ``columns`` are those that it reads, by our names for them. What is wrong with a row goes to
    ``errors``; what is wrong with some clips together is raised.
    """

    columns: Mapping[str, str]

    @property
    def kind(self) -> str:
        """The kind of target that the labels are for; known once all rows are read."""
        ...

    def read_label(self, line: int, row: Mapping[str, str], errors: TableErrors) -> Label:
        """Read the label of a row."""
        ...

    def normalize_labels(
        self, recordings: Mapping[int, Recording], errors: TableErrors
    ) -> list[Recording]:
        """Write the labels of all recordings, which are given by their lines, in one way."""
        ...

    def name_outputs(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Give recordings their final labels, and name the outputs of a network for them."""
        ...


class ClassLabels:
    """Labels that name one class or, with ``|`` between them, several.

    Args:
        column: the table's name for the column.
        classes: names of the classes; None: those that occur.
        multilabel: whether labels name several; None: whether any label does.
    """

    def __init__(
        self, column: str, classes: Sequence[str] | None = None, multilabel: bool | None = None
    ) -> None:
        self.columns: Mapping[str, str] = {"label": column}
        self.classes = classes
        self.multilabel = multilabel

    @property
    def kind(self) -> str:
        """``single_label`` or ``multi_label``; known once all rows are read."""
        return "multi_label" if self.multilabel else "single_label"

    def read_label(self, line: int, row: Mapping[str, str], errors: TableErrors) -> Label:
        """Read the label of a row."""
        return Label(row.get("label", ""))

    def normalize_labels(
        self, recordings: Mapping[int, Recording], errors: TableErrors
    ) -> list[Recording]:
        """Write labels of several classes in one way; see ``normalize_label``."""
        if self.multilabel is None:
            clips = recordings.values()
            self.multilabel = any(TYPED_SEPARATOR.search(clip.label) for clip in clips)
        if not self.multilabel:
            return list(recordings.values())

        normalized = []
        for line, clip in recordings.items():
            label = ""
            with errors.catch_line(line):
                label = normalize_label(clip.label) if clip.label else ""
            normalized.append(replace(clip, label=label))
        return normalized

    def name_outputs(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Select the labeled recordings, with one spelling for each class, and name the classes."""
        labeled = [clip for clip in recordings if clip.label]
        return name_classes(labeled, self.classes, split_label if self.multilabel else keep_label)


def keep_label(label: str) -> list[str]:
    """Take a label as the name of one class, whatever characters are in it."""
    return [label]


def split_label(label: str) -> list[str]:
    """Split a label of several classes into their names."""
    return label.split(LABEL_SEPARATOR)


def join_classes(classes: Sequence[str]) -> str:
    """Join names of classes to a label, the same one in whichever order they are."""
    return LABEL_SEPARATOR.join(sorted(classes))


def normalize_label(label: str) -> str:
    """Write a label of several classes sorted, with one separator between them and no blanks.

    Raises:
        LineError: if a class is empty or stands twice.
    """
    classes = [name.strip() for name in TYPED_SEPARATOR.split(label)]
    if not all(map(normalize_name, classes)):
        raise LineError(
            f"has the label {label!r} with an empty class",
            f"write the names of classes with one {LABEL_SEPARATOR} between them (for none of them "
            "name a class of its own, such as none)",
        )

    counts = Counter(map(normalize_name, classes))
    if twice := [name for name in classes if counts[normalize_name(name)] > 1]:
        raise LineError(f"has the label {label!r}, which names {twice[0]} twice", "once is enough")
    return join_classes(classes)


def name_classes(
    recordings: Sequence[Recording], given: Sequence[str] | None, classes_of: ClassesOf
) -> tuple[list[Recording], list[str]]:
    """Give each class one spelling in all labels, and list the classes in their order.

    Labels that look alike (see ``normalize_name``) are one class. It is spelled as ``given`` or,
    without that, as most clips spell it that the corpus itself trains on; where it assigns none
    that it does, all clips count.

    Raises:
        ClipsError: if a label names none of the classes.
    """
    found = count_spellings(recordings, classes_of)
    if given is None:
        training = [clip for clip in recordings if clip.split == "train"]
        counts = (count_spellings(training, classes_of) or found).values()
        names = sorted(spellings.most_common(1)[0][0] for spellings in counts)
    else:
        names = list(given)
    known = {normalize_name(name): name for name in names}
    check_known_classes(recordings, found, known, classes_of)

    ambiguous = [
        _list_spellings(known[key], spellings)
        for key, spellings in found.items()
        if len(spellings) > 1
    ]
    if ambiguous:
        log.warning("Labels that look alike are one class: %s.", join_items(ambiguous))
    return [_respell_label(clip, known, classes_of) for clip in recordings], names


def count_spellings(
    recordings: Sequence[Recording], classes_of: ClassesOf
) -> dict[str, Counter[str]]:
    """Count the clips of each spelling of each class, by the normalized name of the class."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    labels = Counter(clip.label for clip in recordings)
    for label, clips in labels.items():
        for name in classes_of(label):
            counts[normalize_name(name)][name] += clips

    return counts


def check_known_classes(
    recordings: Sequence[Recording],
    found: Mapping[str, Counter[str]],
    known: Mapping[str, str],
    classes_of: ClassesOf,
) -> None:
    """Refuse labels outside of the ``known`` classes, which are given by normalized name.

    Raises:
        ClipsError: naming the labels and their clips.
    """
    unknown = {key: spellings for key, spellings in found.items() if key not in known}
    if unknown:
        names = [
            f"{next(iter(spellings))!r} ({pluralize(spellings.total(), 'clip')})"
            for spellings in unknown.values()
        ]
        labels = "label" if len(names) == 1 else "labels"
        verb = "is" if len(names) == 1 else "are"
        raise ClipsError(
            f"The {labels} {join_items(names)} {verb} not among the classes {[*known.values()]}: "
            "correct the column, or set corpus.classes=[...] (without it, the labels of the "
            "training split count).",
            [
                clip
                for clip in recordings
                if unknown.keys() & map(normalize_name, classes_of(clip.label))
            ],
        )


def check_classes(names: Sequence[str]) -> None:
    """Refuse names of classes that look alike, as labels would not say which of them is meant."""
    groups = defaultdict(list)
    for name in names:
        groups[normalize_name(name)].append(name)

    for key, alike in groups.items():
        if not key or len(alike) > 1:
            raise ValueError(
                f"corpus.classes names {join_items([ascii(name) for name in alike])}: each class "
                "needs one name, and case, blanks and accents typed otherwise do not tell names "
                "apart."
            )


def _list_spellings(name: str, counts: Counter[str]) -> str:
    """Write the spellings of a class in ASCII, so that they can be distinguished."""
    times = [f"{spelling!a} {pluralize(clips, 'time')}" for spelling, clips in counts.items()]
    return f"{name} ({', '.join(times)})"


def _respell_label(clip: Recording, known: Mapping[str, str], classes_of: ClassesOf) -> Recording:
    label = join_classes([known[normalize_name(name)] for name in classes_of(clip.label)])
    return clip if label == clip.label else replace(clip, label=label)
