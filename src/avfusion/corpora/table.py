"""The rows of a CSV, whatever its delimiter and however its header spells the columns."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from avfusion.corpora.columns import match_columns
from avfusion.corpora.mistakes import Mistakes
from avfusion.corpora.recording import listed
from avfusion.corpora.spelling import visible

DELIMITERS = ",;\t"
Row = dict[str, str]  # cells by our names of the columns that are there


def read_rows(
    path: Path, columns: Mapping[str, str], needed: Sequence[str], mistakes: Mistakes
) -> dict[int, Row]:
    """Return the rows of a table by their lines; what is wrong with it is added to ``mistakes``.

    ``columns`` are our names and the table's; the ``needed`` ones and renamed ones must be there.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = filled(file)
            _, header = next(lines, (0, []))
            rows = dict(lines)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV in UTF-8 ({error}): save it so.") from error
    if not header:
        raise ValueError(f"{path} is empty: give it a header and a row for each clip.")
    places = match_columns(path, header, columns, needed, mistakes)
    if not rows:
        mistakes.add(f"{path} has no clips below its header: add a row for each clip.")
    for line, cells in rows.items():
        if any(cells[len(header) :]):
            mistakes.add_line(
                line,
                "has more cells than the header",
                "put quotes around what holds a delimiter",
            )
    named = {
        line: {ours: cells[place] if place < len(cells) else "" for ours, place in places.items()}
        for line, cells in rows.items()
    }
    check_ids(path, named, mistakes)
    return named


def filled(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of the rows that hold anything."""
    first = next((line for line in file if any(map(str.isalnum, line))), "")
    file.seek(0)
    # Strict: a quote that is never closed would swallow the clips after it.
    reader = csv.reader(file, delimiter=max(DELIMITERS, key=first.count), strict=True)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield reader.line_num, cells


def check_ids(path: Path, rows: Mapping[int, Row], mistakes: Mistakes) -> None:
    """Refuse clips whose ids nobody can tell apart; case does tell them apart."""
    lines = defaultdict(list)
    for line, row in rows.items():
        if row.get("clip_id"):
            lines[visible(row["clip_id"])].append(line)
    doubles = {name: places for name, places in lines.items() if len(places) > 1}
    if doubles:
        (name, places), *others = doubles.items()
        also = listed([f"{name!r} in lines {joined(places)}" for name, places in others], 5)
        mistakes.add(
            f"clip_id {name!r} stands in lines {joined(places)} of {path}: give each clip an id of "
            "its own." + (f" Also {also}." if also else ""),
            len(doubles),
        )


def joined(lines: Sequence[int]) -> str:
    """Return numbers of lines for a sentence."""
    return listed([*map(str, lines[:-1])], 5) + f" and {lines[-1]}"
