"""The rows of a CSV, whatever its delimiter and whatever it calls its columns."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avfusion.corpora.recording import listed

DELIMITERS = ",;\t"


def read_rows(
    path: Path, columns: Mapping[str, str], needed: Sequence[str]
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and row, under our names of ``columns``, each with a clip_id of its own."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        header = file.readline()
        file.seek(0)
        # Strict: a quote that is never closed would swallow the clips after it.
        reader = csv.DictReader(file, delimiter=max(DELIMITERS, key=header.count), strict=True)
        check_columns(path, columns, needed, reader.fieldnames or [])
        lines: dict[str, int] = {}
        for row in reader:
            named = {ours: (row.get(theirs) or "").strip() for ours, theirs in columns.items()}
            clip_id, line = named["clip_id"], reader.line_num
            if any(cell.strip() for cell in row.get(None) or []):
                raise ValueError(
                    f"Line {line} of {path} has more cells than the header: put quotes around what "
                    "holds a delimiter."
                )
            if clip_id in lines:
                raise ValueError(
                    f"clip_id {clip_id!r} stands in lines {lines[clip_id]} and {line} of {path}: "
                    "give each clip an id of its own."
                )
            lines[clip_id] = line
            yield line, named
    if not lines:
        raise ValueError(f"{path} has no clips below its header: add a row for each clip.")


def check_columns(
    path: Path, columns: Mapping[str, str], needed: Sequence[str], names: Sequence[str]
) -> None:
    """Refuse a table without the columns that are needed."""
    if not names:
        raise ValueError(f"{path} is empty: give it a header and a row for each clip.")
    twice = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has several columns {listed(twice)}: leave one of each.")
    renamed = [ours for ours, theirs in columns.items() if ours != theirs]
    wanted = [columns[ours] for ours in dict.fromkeys([*needed, *renamed])]
    missing = [column for column in wanted if column not in names]
    if missing:
        raise ValueError(
            f"{path} has no column {listed(missing)}, it has {listed(list(names), 20)}: "
            "name yours as in corpus.columns.subject=speaker."
        )
