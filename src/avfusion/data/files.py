"""Files of a store: those of a folder, read where they are, or those of an address.

Readers name a file by its path in the folder of the store. One that comes from an address is
fetched into a cache when it is first asked for, see ``avfusion.data.remote``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

DESCRIPTION = "description.json"


@runtime_checkable
class StoreFiles(Protocol):
    """The files of a store: ``root`` is their folder, ``address`` what the user calls it."""

    root: Path
    address: str

    def find(self, pattern: str) -> list[Path]:
        """Paths of the files of the store that match a pattern, in their order."""
        ...

    def get(self, path: Path) -> Path:
        """The same path, once the file can be read there."""
        ...

    def fetch(self, paths: Iterable[Path]) -> None:
        """Let some files be there before they are read."""
        ...


class Folder:
    """The files of a folder, which are there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.address = str(root)

    def find(self, pattern: str) -> list[Path]:
        """Paths of the files that match a pattern, in their order."""
        return sorted(self.root.glob(pattern))

    def get(self, path: Path) -> Path:
        """The same path."""
        return path

    def fetch(self, paths: Iterable[Path]) -> None:
        """Do nothing: they are there."""
