"""Digests of files, cached so that unchanged files are read once."""

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from rich.progress import track

from avfusion.console import is_interactive
from avfusion.files import atomic_write, hash_file

MISSING = "missing"
NUM_THREADS = 8  # of which each waits for the disk most of the time
# Nanoseconds: a file that was changed so lately may be changed again without another time.
RECENT_NANOSECONDS = 2 * 10**9


class FileDigests:
    """The SHA-256 of files, however they are named and whenever they were copied.

    Digests are cached in ``cache_file`` under path, inode, size and times of a file, as in git:
    where none of them has changed, a file is not read again. Where the cache cannot be written,
    everything works, and the files are read each time.
    """

    def __init__(self, cache_file: Path | None = None) -> None:
        self.cache_file = cache_file
        self.cached: dict[str, list[int | str]] = {}
        self.changed = False
        if cache_file is not None:
            with suppress(OSError, ValueError):
                cached = json.loads(cache_file.read_text(encoding="utf-8"))
                self.cached = cached if isinstance(cached, dict) else {}

    def compute(self, paths: Iterable[Path]) -> dict[Path, str]:
        """Digest of each file, ``missing`` where there is none."""
        files = list(dict.fromkeys(paths))
        digests, pending = {}, []
        for path in files:
            state = read_file_state(path)
            cached = self.cached.get(str(path))
            if state is None:
                digests[path] = MISSING
            elif cached is not None and cached[:-1] == state:
                digests[path] = str(cached[-1])
            else:
                pending.append((path, state))

        for (path, state), digest in zip(
            pending, _digest_all([path for path, _ in pending]), strict=True
        ):
            digests[path] = digest
            if digest != MISSING and max(state[2:]) < time.time_ns() - RECENT_NANOSECONDS:
                self.cached[str(path)] = [*state, digest]
                self.changed = True

        return digests

    def count_unread_bytes(self, paths: Iterable[Path]) -> int:
        """Size of the files that have not been read as they are now."""
        total = 0
        for path in dict.fromkeys(paths):
            state, cached = read_file_state(path), self.cached.get(str(path))
            if state is not None and (cached is None or cached[:-1] != state):
                total += state[1]
        return total

    def save(self) -> None:
        """Write the cache, where that is possible."""
        if self.cache_file is None or not self.changed:
            return
        with suppress(OSError):
            with atomic_write(self.cache_file, concurrent=True) as partial:
                partial.write_text(json.dumps(self.cached), encoding="utf-8")
            self.changed = False


def read_file_state(path: Path) -> list[int] | None:
    """Inode, size and times of a file, None where there is none."""
    try:
        state = path.stat()
    except OSError:
        return None
    return [state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns]


def _digest_all(paths: list[Path]) -> list[str]:
    """Digests of files, read side by side."""
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        digests = pool.map(_digest, paths)
        quick = not is_interactive() or len(paths) < NUM_THREADS
        title = "Reading the files of the corpus"
        return list(track(digests, title, len(paths), transient=True, disable=quick))


def _digest(path: Path) -> str:
    """SHA-256 of a file; what is no file, or cannot be read, is left to decoders."""
    try:
        if not path.is_file():
            return MISSING
        return hash_file(path)
    except OSError:
        return MISSING
