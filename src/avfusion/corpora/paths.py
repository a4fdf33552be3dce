"""Paths that a table names: found however they are spelled, and kept inside of a folder."""

import os
from pathlib import Path
from unicodedata import normalize

from avfusion.corpora.recording import Recording, listed


def find(name: str, beside: Path, outermost: Path, where: str) -> Path:
    """Return a path of a table, in whichever spelling the file system knows it.

    ``where`` says which line of which table names it. Neither the path nor, of a folder, what lies
    in it may lead out of ``outermost``.
    """
    spellings = [name, name.replace("\\", "/")]
    spellings += [normalize(form, spellings[1]) for form in ("NFC", "NFD")]
    try:
        paths = [Path(os.path.normpath(beside / spelling)) for spelling in spellings]
        path = next((path for path in paths if path.exists()), paths[0])
        links = [entry for entry in path.iterdir() if entry.is_symlink()] if path.is_dir() else []
        inside = all(part.resolve().is_relative_to(outermost) for part in (path, *links))
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero in it, links in a ring
        raise ValueError(f"{where} names {name[:80]!r}, which is no path: {error}.") from error
    if not inside:
        raise ValueError(
            f"{where} names {name}, which is not in {outermost}: set corpus.media_root to the "
            "folder that holds the media."
        )
    return path


def check_files(table: Path, recordings: list[Recording]) -> None:
    """Refuse a table that names files that are not there."""
    sources = [str(path) for recording in recordings for path in recording.sources]
    missing = [source for source in sources if not Path(source).exists()]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of the {len(sources)} files of {table} are missing: "
            f"{listed(missing)}. Paths are relative to the CSV."
        )
