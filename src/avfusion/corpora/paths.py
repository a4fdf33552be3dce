"""Paths that a table names: found however they are spelled, and kept inside of a folder."""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from unicodedata import normalize

from avfusion.corpora.mistakes import WrongLine
from avfusion.corpora.recording import Recording, listed
from avfusion.corpora.spelling import visible


def find(name: str, beside: Path, outermost: Path) -> Path:
    """Return a path of a table, in whichever spelling the file system knows it.

    Neither the path nor, of a folder, what lies in it may lead out of ``outermost``.
    """
    spellings = [name, name.replace("\\", "/"), visible(name)]
    spellings += [normalize(form, spellings[1]) for form in ("NFC", "NFD")]
    try:
        paths = [Path(os.path.normpath(beside / spelling)) for spelling in spellings]
        path = next((path for path in paths if path.exists()), paths[0])
        links = [entry for entry in path.iterdir() if entry.is_symlink()] if path.is_dir() else []
        inside = all(part.resolve().is_relative_to(outermost) for part in (path, *links))
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero in it, links in a ring
        raise WrongLine(
            f"names {name[:80]!r}, which is no path ({error})", "write it as its folder has it"
        ) from error
    if not inside:
        raise WrongLine(
            f"names {name}, which is not in {outermost}",
            "set corpus.media_root to the folder that holds the media",
        )
    return path


def missing_files(recording: Recording) -> list[str]:
    """Return the files and folders of a recording that are not there."""
    return [str(path) for path in recording.sources if not path.exists()]


def told_missing(table: Path, recordings: Sequence[Recording]) -> tuple[str, int]:
    """Return a sentence about the files of a table that are missing, and of how many clips."""
    found = [missing_files(clip) for clip in recordings]
    missing, clips = [*chain(*found)], sum(map(bool, found))
    files = sum(len(clip.sources) for clip in recordings)
    most = 2 * clips > len(recordings)
    cause = f"and {clips} of {len(recordings)} clips lack theirs: set" if most else "or to"
    return (
        f"{len(missing)} of the {files} files of {table} are missing: {listed(missing)}. "
        f"Paths are relative to the CSV, {cause} corpus.media_root=<folder that holds the media>."
    ), clips
