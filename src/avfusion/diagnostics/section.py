"""Sections of diagnostics, and ``diagnostics.json``, which holds them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from avfusion.files import atomic_write

FILE_NAME = "diagnostics.json"
VERSION = 1  # of the layout

# A triple is a number and the ends of its interval.
Cell = str | int | float | None | tuple[float | None, float | None, float | None]


class NotMeasured(ValueError):
    """A sentence that says why something is not measured."""


@dataclass(frozen=True)
class Table:
    """Rows of a name and of numbers; None, or NaN, where there is none."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Line:
    """Points of a chart under a name; where ``x`` are texts, each is a row with its number.

    ``low`` and ``high`` are the ends of intervals, where there are any.
    """

    name: str
    x: Sequence[float] | Sequence[str]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Chart:
    """A figure as numbers: lines over ``x``, or one number for each text.

    ``name`` is that of its file; ``diagonal`` draws the line on which y is x; ``ticks`` name the
    positions 0, 1, 2 and so on of ``x``.
    """

    name: str
    caption: str
    x: str
    y: str
    lines: Sequence[Line]
    diagonal: bool = False
    ticks: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """Results of one part of the diagnostics.

    Attributes:
        title: For display.
        summary: The most important numbers in one line.
        numbers: Every number by name, for programs.
        notes: Sentences on what is measured, and on what is not.
        settings: What it was measured with, where others are to be compared with it.
    """

    title: str
    summary: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    charts: Sequence[Chart] = ()
    notes: Sequence[str] = ()
    settings: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Diagnosis:
    """The sections of a run, or of a setting over its folds and seeds.

    Attributes:
        name: Of the run or of the setting.
        clips: How many the sections are about, of how many ``subjects``.
        split: The one that was tested.
        sections: By the names of ``conf/diagnostics``.
        notes: Sentences on what makes all of it less than it seems, such as data leakage.
    """

    name: str
    split: str
    clips: int
    subjects: int
    sections: Mapping[str, Section]
    notes: Sequence[str] = ()


@runtime_checkable
class Measurement(Protocol):
    """A part of the diagnostics, as ``conf/diagnostics`` makes it.

    ``title`` is that of its section; ``needs_networks`` says whether outputs of clips that were
    changed are computed.
    """

    title: str
    needs_networks: bool

    def measure(self, evidence: Any) -> Section:
        """Measure, or raise ``NotMeasured``."""
        ...


def write_diagnoses(folder: Path, diagnoses: Sequence[Diagnosis]) -> Path:
    """Write diagnostics.json; numbers that are not finite become null, as JSON has none."""
    content = {"version": VERSION, "diagnoses": [_plain(asdict(one)) for one in diagnoses]}
    path = folder / FILE_NAME
    with atomic_write(path) as partial:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def read_diagnoses(folder: Path) -> list[Diagnosis]:
    """Read diagnostics.json: nothing where there is none, or where it is of another version."""
    path = folder / FILE_NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = content["diagnoses"] if content["version"] == VERSION else []
        return [_read_diagnosis(one) for one in known]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: write it again with src/diagnose.py.") from error


def _read_diagnosis(plain: dict[str, Any]) -> Diagnosis:
    sections = {name: _read_section(one) for name, one in plain.pop("sections").items()}
    return Diagnosis(**plain, sections=sections)


def _read_section(plain: dict[str, Any]) -> Section:
    tables = [Table(**one | {"rows": _read_rows(one["rows"])}) for one in plain.pop("tables")]
    charts = [
        Chart(**one | {"lines": [_read_line(line) for line in one["lines"]]})
        for one in plain.pop("charts")
    ]
    numbers = {name: _read_number(number) for name, number in plain.pop("numbers").items()}
    return Section(**plain, numbers=numbers, tables=tables, charts=charts)


def _read_line(plain: dict[str, Any]) -> Line:
    numbers = {name: [*map(_read_number, plain[name])] for name in ("y", "low", "high")}
    return Line(plain["name"], plain["x"], **numbers)


def _read_number(number: float | None) -> float:
    return math.nan if number is None else number


def _read_rows(rows: Sequence[Sequence[Any]]) -> list[list[Cell]]:
    return [[tuple(cell) if isinstance(cell, list) else cell for cell in row] for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def format_number(number: float | None) -> str:
    """Format a number with three digits; a dash where there is none."""
    if number is None or not math.isfinite(number):
        return "-"
    return f"{number:,}" if isinstance(number, int) else f"{number:.3f}"


def format_cell(cell: Cell) -> str:
    """Format a cell, a number with its interval in brackets."""
    if isinstance(cell, str):
        return cell
    if not isinstance(cell, tuple):
        return format_number(cell)
    value, low, high = cell
    known = low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
    text = format_number(value)
    return f"{text} [{low:.3f}, {high:.3f}]" if known else text
