"""Tables in CSV: their rows and columns, whatever delimiter and spelling of the header."""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import TextIO

from avfusion.corpora.mistakes import Mistakes
from avfusion.corpora.spelling import canonical, visible
from avfusion.messages import join_items

REQUIRED = ("clip_id", "label", "subject")
MEDIA = ("video_path", "image_path", "audio_path")
BOX = ("box_left", "box_top", "box_right", "box_bottom")
COLUMNS = (*REQUIRED, "session", "split", *MEDIA, *BOX)
RESEMBLING = 0.85  # of two names: twice the letters that match, over all letters


def check_names(columns: Mapping[str, str], media_root: str | None) -> None:
    """Refuse names for columns that there are not, and a folder of media that is none."""
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise ValueError(
            f"corpus.columns has no {join_items(unknown)}, it has {join_items([*COLUMNS], 20)}: "
            "name yours as in corpus.columns.subject=speaker."
        )
    if media_root is not None and not Path(media_root).is_dir():
        raise FileNotFoundError(
            f"corpus.media_root={media_root} is no folder: set it to the one that paths are "
            "relative to, or leave it out."
        )


def match_columns(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    needed: Sequence[str],
    mistakes: Mistakes,
) -> dict[str, int]:
    """Return the places of our columns in the header of a table.

    ``columns`` are our names and the table's. Case, blanks, hyphens and what nobody sees do not
    tell names apart. A column that could be one of ours is an error rather than left out.
    """
    places: dict[str, int] = {}
    twice = [name for name in dict.fromkeys(header) if name and header.count(name) > 1]
    for ours, theirs in columns.items():
        found = [place for place, name in enumerate(header) if same(name, theirs)]
        exact = [place for place in found if header[place] == theirs]
        names = [header[place] for place in found]
        if len(found) > 1 and len({*names}) == len(names) and not (exact and ours != theirs):
            mistakes.add(
                f"{path} has several columns that can be {ours}, {join_items(names)}: leave one of "
                f"them, or name it as in {override(ours, names[0])}."
            )
        if found:
            places[ours] = (exact or found)[0]
    if twice:
        mistakes.add(f"{path} has several columns {join_items(twice)}: leave one of each.")
    refuse_missing(path, header, columns, needed, places, mistakes)
    return places


def refuse_missing(
    path: Path,
    header: Sequence[str],
    columns: Mapping[str, str],
    needed: Sequence[str],
    places: Mapping[str, int],
    mistakes: Mistakes,
) -> None:
    """Refuse a header without the columns that are needed, or with one that resembles ours."""
    renamed = [ours for ours, theirs in columns.items() if ours != theirs]
    wanted = [ours for ours in dict.fromkeys([*needed, *renamed]) if ours not in places]
    if wanted:
        names = join_items([columns[ours] for ours in wanted])
        mistakes.add(
            f"{path} has no column {names}, it has {join_items(list(header), 20)}: name yours as "
            "in corpus.columns.subject=speaker.",
            len(wanted),
        )
    others = [name for place, name in enumerate(header) if place not in places.values()]
    for ours in [ours for ours in columns if ours not in places]:
        for name in others:
            if resembles(name, ours, columns[ours], "video_path" in places):
                mistakes.add(
                    f"{path} has a column {name!r}, which resembles {columns[ours]}: rename it, "
                    f"or say that it is that column with {override(ours, name)}."
                )


def same(name: str, other: str) -> bool:
    """Say whether two names of columns have the same letters and digits."""
    return letters(name) == letters(other)


def letters(name: str) -> str:
    """Return the letters and digits of a name."""
    return re.sub(r"[\W_]+", "", canonical(name)) or name


def resembles(name: str, ours: str, theirs: str, video: bool) -> bool:
    """Say whether a column may be meant to be one of ours, which no column is called."""
    given, wanted = letters(name), letters(theirs)
    stem = ours.removesuffix("_path").removeprefix("box_")
    short = ours in (*MEDIA, *BOX) and given in (stem, f"{stem}file", f"{stem}filename")
    if short and not (video and ours in MEDIA):  # beside a video, they say something else
        return True
    alike = SequenceMatcher(None, given, wanted, autojunk=False).ratio()
    return alike >= RESEMBLING or sorted(given) == sorted(wanted)


def override(ours: str, theirs: str) -> str:
    """Return how the command line says which column is meant."""
    setting = f"corpus.columns.{ours}"
    return f"{setting}={theirs}" if theirs.isidentifier() else f"'{setting}=\"{theirs}\"'"


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
        also = join_items([f"{name!r} in lines {joined(places)}" for name, places in others], 5)
        mistakes.add(
            f"clip_id {name!r} stands in lines {joined(places)} of {path}: give each clip an id of "
            "its own." + (f" Also {also}." if also else ""),
            len(doubles),
        )


def joined(lines: Sequence[int]) -> str:
    """Return numbers of lines for a sentence."""
    return join_items([*map(str, lines[:-1])], 5) + f" and {lines[-1]}"
