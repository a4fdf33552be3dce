"""Companion files: what systems and programs leave beside recordings, and nobody means."""

from collections.abc import Iterable
from pathlib import Path

# Of Windows, macOS, and the servers of Synology and QNAP; any hidden file (.DS_Store, ._a.mp4).
NAMES = {
    "$recycle.bin",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "#recycle",
    "#snapshot",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "icon\r",
    "lost+found",
    "picasa.ini",
    "system volume information",
    "thumbs.db",
}


def is_companion(name: str) -> bool:
    """Say whether a file or folder of this name is none of a person's: hidden, or a system's."""
    return name.startswith((".", "~$")) or name.casefold() in NAMES


def without_companions(paths: Iterable[Path]) -> list[Path]:
    """Return the paths whose own names are a person's; what holds them is not looked at."""
    return [path for path in paths if not is_companion(path.name)]
