"""Numbers to predict of clips, such as arousal and valence: the columns ``target.<name>``.

The label of such a clip names its numbers, as in ``arousal|valence``; missing ones are left out.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from sys import intern

from avfusion.corpora.labels import BARS, Label, label_of, split_label
from avfusion.corpora.mistakes import Mistakes
from avfusion.corpora.recording import Recording
from avfusion.corpora.spelling import canonical
from avfusion.corpora.table import filled, same
from avfusion.messages import join_items

PREFIX = "target."
Targets = Sequence[str] | Mapping[str, str]  # names of numbers, or names and their columns
Ranges = Mapping[str, Sequence[float]]  # lowest and highest value, by name


def write_numbers(numbers: Mapping[str, str]) -> str:
    """Write numbers, given as text by their names, as in ``arousal=0.37|valence=-0.2``."""
    return label_of([f"{name}={number}" for name, number in numbers.items()])


def write_label(label: str, numbers: Sequence[float]) -> str:
    """Write a label as people read it: with its numbers in every digit, where it names some."""
    if not numbers:
        return label
    each = zip(split_label(label), map(repr, numbers), strict=True)
    return write_numbers(dict(each))


class NumberLabels:
    """Numbers in a table's columns.

    ``columns`` are those columns, by our names for them, ``ranges`` what a number must lie within.
    """

    kind = "continuous"

    def __init__(self, columns: Mapping[str, str], ranges: Ranges) -> None:
        self.columns: Mapping[str, str] = {
            f"{PREFIX}{name}": theirs for name, theirs in columns.items()
        }
        self.names = list(columns)
        self.ranges = ranges
        if wrong := [name for name in self.names if not name or "=" in name or BARS.search(name)]:
            raise ValueError(
                f"The target {wrong[0]!r} needs another name: one without '=' and '|', which stand "
                "around numbers in labels."
            )
        if unknown := sorted(set(ranges) - set(self.names)):
            raise ValueError(
                f"corpus.ranges has {join_items(unknown)}, of which the manifest has no number: "
                f"its numbers are {join_items(self.names)}."
            )

    def read(self, line: int, row: Mapping[str, str], mistakes: Mistakes) -> Label:
        """Read the label of a row, and add what is wrong with its numbers to ``mistakes``."""
        cells = {name: row.get(f"{PREFIX}{name}", "") for name in self.names}
        if not any(cells.values()):
            cure = (
                "leave the line out, or give a number (a missing one beside others is no mistake)"
            )
            mistakes.add_line(line, f"has no {' and no '.join(self.names)}", cure)

        numbers = {name: self._check(line, name, text, mistakes) for name, text in cells.items()}
        known = sorted(name for name, number in numbers.items() if not math.isnan(number))
        return Label(intern(label_of(known)), tuple(numbers[name] for name in known))

    def _check(self, line: int, name: str, text: str, mistakes: Mistakes) -> float:
        if not text:
            return math.nan
        value = math.nan
        with suppress(ValueError):
            value = float(text)
        if not math.isfinite(value):
            cure = "give a finite number with a decimal point, or leave the cell empty"
            mistakes.add_line(line, f"has the {name} {text!r}, which is none", cure)
            return math.nan
        low, high = self.ranges.get(name, (-math.inf, math.inf))
        if not low <= value <= high:
            cure = f"correct it, or set corpus.ranges.{name}=[<lowest>, <highest>]"
            mistakes.add_line(line, f"has the {name} {text}, not from {low} to {high}", cure)
            return math.nan
        return value

    def tidy(self, recordings: Mapping[int, Recording], mistakes: Mistakes) -> list[Recording]:
        """Return the recordings as they were read."""
        return list(recordings.values())

    def name(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Return recordings and the names of their numbers."""
        return list(recordings), self.names


def find_numbers(
    path: Path, columns: Mapping[str, str], targets: Targets | None, ranges: Ranges
) -> NumberLabels | None:
    """Return how to read the numbers of a table; None of one that has labels instead.

    ``columns`` are the names of a manifest's columns. Without ``targets`` they are all columns
    ``target.<name>`` of a table that has no column of labels.
    """
    header = _read_header(path)
    if targets is None:
        labeled = any(same(name, columns["label"]) for name in header)
        found = [name for name in header if canonical(name).startswith(PREFIX)]
        targets = [] if labeled else {name.partition(".")[2].strip(): name for name in found}
    if not isinstance(targets, Mapping):
        targets = {name: f"{PREFIX}{name}" for name in targets}
    if targets:
        return NumberLabels(targets, ranges)
    if ranges:
        raise ValueError(
            f"corpus.ranges are given for {join_items([*ranges])}, and clips of {path} have "
            "labels: name the numbers as in corpus.targets=[arousal], or leave out corpus.ranges."
        )
    return None


def check_targets(targets: Targets | None, ranges: Ranges) -> None:
    """Refuse names that are the same, and ranges that no number lies within."""
    names = [canonical(name) for name in targets or ()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"corpus.targets names {twice[0]} twice: each number needs its own name.")
    for name, limits in ranges.items():
        numbers = isinstance(limits, Sequence) and all(isinstance(x, int | float) for x in limits)
        if not numbers or len(limits) != 2 or not limits[0] < limits[1]:
            raise ValueError(
                f"corpus.ranges.{name} must be a lowest and a highest number, as in [-1, 1], got "
                f"{limits!r}."
            )


def _read_header(path: Path) -> list[str]:
    """Return the names of a table's columns, nothing where they cannot be read."""
    with suppress(UnicodeDecodeError, csv.Error), path.open(newline="", encoding="utf-8-sig") as f:
        return next(filled(f), (0, []))[1]
    return []
