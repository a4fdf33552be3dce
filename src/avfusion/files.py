"""Files: atomic writes, CSV tables, checksums, safe names and the data folder.

Imports nothing heavy: the command line reads the data folder before anything else is loaded.
"""

import csv
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MAX_NAME_BYTES = 150  # file systems take 255, of which suffixes need some


def data_folder() -> str:
    """Folder of corpora and stores: ``AVFUSION_DATA``, or ``data`` where that is unset or empty."""
    return os.environ.get("AVFUSION_DATA", "").strip() or "data"


@contextmanager
def atomic_write(path: Path, *, sync: bool = False, concurrent: bool = False) -> Iterator[Path]:
    """Yield a path to write to, which replaces ``path`` once it is complete.

    A reader sees the old file or the new one, whenever the writer is killed. An error leaves the
    old file as it was, and nothing beside it.

    Args:
        path: The file to write; its folder exists.
        sync: Wait until the content has reached the disk, so that it survives a power failure.
        concurrent: Other processes, on whatever machine, may write the same file at the same time;
            the last one wins.
    """
    writer = f".{secrets.token_hex(8)}" if concurrent else ""  # ids of processes repeat
    partial = path.with_name(f"{path.name}{writer}.partial")
    partial.unlink(missing_ok=True)

    try:
        yield partial
        if sync:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Write a table as CSV in UTF-8; bytes of file names that are no text become escapes."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)

    return path


@contextmanager
def open_csv(path: Path, columns: Sequence[str]) -> Iterator["csv.DictWriter[str]"]:
    """Open a CSV to write row by row, under a header."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        yield writer


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV, by the names of its columns."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(text: str, default: str) -> str:
    """Turn a text into a file name: letters of any language, digits, dots, dashes, underscores.

    The name has at most ``MAX_NAME_BYTES`` bytes of UTF-8; where nothing is left of the text, it is
    ``default``.
    """
    safe = re.sub(r"[^\w.-]+", "_", text).strip("._-").encode()
    return safe[:MAX_NAME_BYTES].decode(errors="ignore") or default  # no part of a character
