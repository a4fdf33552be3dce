"""CSV tables: rows and columns, whatever delimiter and spelling of the header."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TextIO

from avfusion.corpora.spelling import normalize_name, strip_invisible
from avfusion.corpora.table_errors import TableErrors
from avfusion.messages import join_items

REQUIRED_COLUMNS = ("clip_id", "label", "subject")
MEDIA_COLUMNS = ("video_path", "image_path", "audio_path")
BOX_COLUMNS = ("box_left", "box_top", "box_right", "box_bottom")
FEATURE_COLUMNS = ("face_features", "audio_features")
ATTRIBUTE_PREFIX = "attribute."  # of columns of what else is known of a clip, such as its gender
TAKE_COLUMN = f"{ATTRIBUTE_PREFIX}take"  # clips of one take, which no two splits may share
COLUMNS = (
    *REQUIRED_COLUMNS,
    "session",
    "split",
    *MEDIA_COLUMNS,
    *FEATURE_COLUMNS,
    *BOX_COLUMNS,
)
MIN_SIMILARITY = 0.85  # of two names: twice the letters that match, over all letters
DELIMITERS = ",;\t"

Row = dict[str, str]  # cells by our names of the columns that are there


def check_column_names(columns: Mapping[str, str], media_root: str | None) -> None:
    """Refuse unknown keys of ``corpus.columns``, and a media_root that is no folder."""
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise ValueError(
            f"corpus.columns has no {join_items(unknown)}, it has {join_items(COLUMNS, 20)}: name "
            "yours as in corpus.columns.subject=speaker."
        )
    if media_root is not None and not Path(media_root).is_dir():
        raise FileNotFoundError(
            f"corpus.media_root={media_root} is no folder: set it to the one that paths are "
            "relative to, or leave it out."
        )


def read_rows(
    path: Path, columns: Mapping[str, str], needed: Sequence[str], errors: TableErrors
) -> Iterator[tuple[int, Row]]:
    """Yield line number and cells of each row; what is wrong with the table goes to ``errors``.

    Args:
        columns: the table's names of columns, by our names.
        needed: our names of the columns that must be there; renamed ones must be there, too.
    """
    lines: dict[str, list[int]] = defaultdict(list)  # by clip id
    count = 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = read_filled_rows(file)
            _, header = next(rows, (0, []))
            if not header:
                raise ValueError(f"{path} is empty: give it a header and a row for each clip.")
            indices = match_columns(path, header, columns, needed, errors)

            for count, (line, cells) in enumerate(rows, 1):  # noqa: B007  the last one counts
                if any(cells[len(header) :]):
                    fix = "put quotes around what holds a delimiter"
                    errors.add_line(line, "has more cells than the header", fix)
                cells += [""] * (len(header) - len(cells))
                row = {ours: cells[index] for ours, index in indices.items()}
                if row.get("clip_id"):
                    lines[strip_invisible(row["clip_id"])].append(line)
                yield line, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV in UTF-8 ({error}): save it so.") from error

    if not count:
        errors.add(f"{path} has no clips below its header: add a row for each clip.")
    _check_duplicate_ids(path, lines, errors)


def read_filled_rows(file: TextIO) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped cells of each row that is not blank.

    The delimiter is that of ``DELIMITERS`` which the first line has most often.
    """
    first = next((line for line in file if any(map(str.isalnum, line))), "")
    file.seek(0)

    # Strict: a quote that is never closed would swallow the clips after it.
    reader = csv.reader(file, delimiter=max(DELIMITERS, key=first.count), strict=True)
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield reader.line_num, cells


def match_columns(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    needed: Sequence[str],
    errors: TableErrors,
) -> dict[str, int]:
    """Find our columns in the header of a table: position by our name.

    Case, blanks, hyphens and invisible characters do not distinguish names. A column that resembles
    one of ours without being it is an error rather than ignored.
    """
    indices: dict[str, int] = {}
    for ours, theirs in columns.items():
        found = [index for index, name in enumerate(header) if names_match(name, theirs)]
        exact = [index for index in found if header[index] == theirs]
        names = [header[index] for index in found]
        if len(found) > 1 and len({*names}) == len(names) and not (exact and ours != theirs):
            errors.add(
                f"{path} has several columns that can be {ours}, {join_items(names)}: leave one of "
                f"them, or name it as in {_write_override(ours, names[0])}."
            )
        if found:
            indices[ours] = (exact or found)[0]

    if twice := [name for name in dict.fromkeys(header) if name and header.count(name) > 1]:
        errors.add(f"{path} has several columns {join_items(twice)}: leave one of each.")
    _check_missing_columns(path, header, columns, needed, indices, errors)
    return indices


def names_match(name: str, other: str) -> bool:
    """Say whether two names of columns have the same letters and digits."""
    return _strip_punctuation(name) == _strip_punctuation(other)


def _check_missing_columns(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    needed: Sequence[str],
    indices: Mapping[str, int],
    errors: TableErrors,
) -> None:
    """Add an error for columns that are needed and missing, and for those that resemble ours."""
    renamed = [ours for ours, theirs in columns.items() if ours != theirs]
    wanted = [ours for ours in dict.fromkeys([*needed, *renamed]) if ours not in indices]
    if wanted:
        names = join_items([columns[ours] for ours in wanted])
        errors.add(
            f"{path} has no column {names}, it has {join_items(header, 20)}: name yours as in "
            "corpus.columns.subject=speaker.",
            len(wanted),
        )

    others = [name for index, name in enumerate(header) if index not in indices.values()]
    for ours in [ours for ours in columns if ours not in indices]:
        for name in others:
            if _resembles(name, ours, columns[ours], has_video="video_path" in indices):
                errors.add(
                    f"{path} has a column {name!r}, which resembles {columns[ours]}: rename it, "
                    f"or say that it is that column with {_write_override(ours, name)}."
                )


def _check_duplicate_ids(path: Path, lines: Mapping[str, list[int]], errors: TableErrors) -> None:
    """Add an error for ids that stand in several lines.

    Case distinguishes ids, invisible characters do not.
    """
    duplicates = {name: where for name, where in lines.items() if len(where) > 1}
    if duplicates:
        (name, where), *others = duplicates.items()
        also = join_items([f"{name!r} in lines {_join_lines(where)}" for name, where in others], 5)
        errors.add(
            f"clip_id {name!r} stands in lines {_join_lines(where)} of {path}: give each clip an "
            "id of its own." + (f" Also {also}." if also else ""),
            len(duplicates),
        )


def _resembles(name: str, ours: str, theirs: str, has_video: bool) -> bool:
    """Say whether a column is probably meant to be one of ours, which no column is called."""
    given, wanted = _strip_punctuation(name), _strip_punctuation(theirs)

    stem = ours.removesuffix("_path").removeprefix("box_")
    short = (*MEDIA_COLUMNS, *BOX_COLUMNS)
    is_short = ours in short and given in (stem, f"{stem}file", f"{stem}filename")
    if is_short and not (has_video and ours in MEDIA_COLUMNS):  # beside a video, something else
        return True

    similarity = SequenceMatcher(None, given, wanted, autojunk=False).ratio()
    return similarity >= MIN_SIMILARITY or sorted(given) == sorted(wanted)


def _strip_punctuation(name: str) -> str:
    return re.sub(r"[\W_]+", "", normalize_name(name)) or name


def _write_override(ours: str, theirs: str) -> str:
    setting = f"corpus.columns.{ours}"
    return f"{setting}={theirs}" if theirs.isidentifier() else f"'{setting}=\"{theirs}\"'"


def _join_lines(lines: Sequence[int]) -> str:
    return join_items([*map(str, lines[:-1])], 5) + f" and {lines[-1]}"
