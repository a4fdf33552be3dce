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
) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a table with their lines; what is wrong with it is added to ``mistakes``.

    ``columns`` are our names and the table's; the ``needed`` ones and renamed ones must be there.
    """
    lines: dict[str, list[int]] = defaultdict(list)  # by the ids of clips
    count = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = filled(file)
            _, header = next(rows, (0, []))
            if not header:
                raise ValueError(f"{path} is empty: give it a header and a row for each clip.")
            places = match_columns(path, header, columns, needed, mistakes)
            for count, (line, cells) in enumerate(rows, 1):  # noqa: B007  the last one counts
                if any(cells[len(header) :]):
                    cure = "put quotes around what holds a delimiter"
                    mistakes.add_line(line, "has more cells than the header", cure)
                cells += [""] * (len(header) - len(cells))
                row = {ours: cells[place] for ours, place in places.items()}
                if row.get("clip_id"):
                    lines[visible(row["clip_id"])].append(line)
                yield line, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV in UTF-8 ({error}): save it so.") from error
    if not count:
        mistakes.add(f"{path} has no clips below its header: add a row for each clip.")
    refuse_doubles(path, lines, mistakes)


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


def refuse_doubles(path: Path, lines: Mapping[str, list[int]], mistakes: Mistakes) -> None:
    """Refuse ids that stand in several lines; case tells ids apart, what nobody sees does not."""
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
