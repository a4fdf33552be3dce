"""Numbers to predict of clips, such as arousal and valence: the columns ``target.<name>``.

The label of such a clip names its numbers, as in ``arousal|valence``; missing ones are left out.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from avfusion.corpora.labels import TYPED_SEPARATOR, Label, join_classes, split_label
from avfusion.corpora.recording import Recording
from avfusion.corpora.spelling import normalize_name
from avfusion.corpora.table import names_match, read_filled_rows
from avfusion.corpora.table_errors import TableErrors
from avfusion.messages import join_items

COLUMN_PREFIX = "target."

Targets = Sequence[str] | Mapping[str, str]  # names of numbers, or columns by name
Ranges = Mapping[str, Sequence[float]]  # lowest and highest value, by name


def format_numbers(numbers: Mapping[str, str]) -> str:
    """Write numbers, given as text by name, as in ``arousal=0.37|valence=-0.2``."""
    return join_classes([f"{name}={number}" for name, number in numbers.items()])


def format_label(label: str, numbers: Sequence[float]) -> str:
    """Write a label as people read it: with its numbers in every digit, where it names some."""
    if not numbers:
        return label

    each = zip(split_label(label), map(repr, numbers), strict=True)
    return format_numbers(dict(each))


class NumberLabels:
    """Numbers in columns of a table.

    Args:
        columns: the table's names of columns, by the names of numbers.
        ranges: lowest and highest value of numbers, by name.
    """

    kind = "continuous"

    def __init__(self, columns: Mapping[str, str], ranges: Ranges) -> None:
        self.columns: Mapping[str, str] = {
            f"{COLUMN_PREFIX}{name}": theirs for name, theirs in columns.items()
        }
        self.names = list(columns)
        self.ranges = ranges

        for name in self.names:
            if not name or "=" in name or TYPED_SEPARATOR.search(name):
                raise ValueError(
                    f"The target {name!r} needs another name: one without '=' and '|', which stand "
                    "around numbers in labels."
                )
        if unknown := sorted(set(ranges) - set(self.names)):
            raise ValueError(
                f"corpus.ranges has {join_items(unknown)}, of which the manifest has no number: "
                f"its numbers are {join_items(self.names)}."
            )

    def read_label(self, line: int, row: Mapping[str, str], errors: TableErrors) -> Label:
        """Read the numbers of a row; a missing one is left out."""
        cells = {name: row.get(f"{COLUMN_PREFIX}{name}", "") for name in self.names}
        if not any(cells.values()):
            fix = "leave the line out, or give a number (a missing one beside others is no error)"
            errors.add_line(line, f"has no {' and no '.join(self.names)}", fix)

        numbers = {name: self._read_cell(line, name, text, errors) for name, text in cells.items()}
        known = sorted(name for name, number in numbers.items() if not math.isnan(number))
        return Label(join_classes(known), tuple(numbers[name] for name in known))

    def _read_cell(self, line: int, name: str, text: str, errors: TableErrors) -> float:
        """Read the number in a cell; NaN where there is none or a wrong one."""
        if not text:
            return math.nan

        value = math.nan
        with suppress(ValueError):
            value = float(text)
        if not math.isfinite(value):
            fix = "give a finite number with a decimal point, or leave the cell empty"
            errors.add_line(line, f"has the {name} {text!r}, which is none", fix)
            return math.nan

        low, high = self.ranges.get(name, (-math.inf, math.inf))
        if not low <= value <= high:
            fix = f"correct it, or set corpus.ranges.{name}=[<lowest>, <highest>]"
            errors.add_line(line, f"has the {name} {text}, not from {low} to {high}", fix)
            return math.nan
        return value

    def normalize_labels(
        self, recordings: Mapping[int, Recording], errors: TableErrors
    ) -> list[Recording]:
        """Leave the recordings as they were read."""
        return list(recordings.values())

    def name_outputs(self, recordings: Sequence[Recording]) -> tuple[list[Recording], list[str]]:
        """Leave the recordings as they were read, and name their numbers."""
        return list(recordings), self.names


def find_number_labels(
    path: Path, columns: Mapping[str, str], targets: Targets | None, ranges: Ranges
) -> NumberLabels | None:
    """Find the columns of numbers in a table; None if it has class labels instead.

    Args:
        columns: the table's names of columns, by ours.
        targets: names of numbers, or columns by name; None: all columns ``target.<name>`` of a
            table that has no column of labels.
    """
    header = read_header(path)
    if targets is None:
        labeled = any(names_match(name, columns["label"]) for name in header)
        found = [name for name in header if normalize_name(name).startswith(COLUMN_PREFIX)]
        targets = [] if labeled else {name.partition(".")[2].strip(): name for name in found}
    if not isinstance(targets, Mapping):
        targets = {name: f"{COLUMN_PREFIX}{name}" for name in targets}

    if targets:
        return NumberLabels(targets, ranges)
    if ranges:
        raise ValueError(
            f"corpus.ranges are given for {join_items([*ranges])}, and clips of {path} have "
            "labels: name the numbers as in corpus.targets=[arousal], or leave out corpus.ranges."
        )
    return None


def check_targets(targets: Targets | None, ranges: Ranges) -> None:
    """Refuse names that look alike, and ranges that no number lies within."""
    names = [normalize_name(name) for name in targets or ()]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"corpus.targets names {twice[0]} twice: each number needs its own name.")

    for name, limits in ranges.items():
        numbers = isinstance(limits, Sequence) and all(isinstance(x, int | float) for x in limits)
        if not numbers or len(limits) != 2 or not limits[0] < limits[1]:
            raise ValueError(
                f"corpus.ranges.{name} must be a lowest and a highest number, as in [-1, 1], got "
                f"{limits!r}."
            )


def read_header(path: Path) -> list[str]:
    """Read the names of a table's columns; none where they cannot be read."""
    with suppress(UnicodeDecodeError, csv.Error), path.open(newline="", encoding="utf-8-sig") as f:
        return next(read_filled_rows(f), (0, []))[1]
    return []
