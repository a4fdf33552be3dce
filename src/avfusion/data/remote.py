"""Stores in object storage, read through a cache on this machine.

<cache>/<name of the store>-<digest of its address>/
  <digest of its description>/        a folder like that of the store, with the files read so far
  <digest of its description>.lock    held by all processes that have it open, dated by the last

A store in object storage has the files of its folder and no others. What each has to be is known
from the checksums of the description and of computed streams; their lengths, and which streams
there are, from a listing. A file is fetched by one process at a time, piece by piece into
``<file>.partial``, which goes on where a killed process has left it, and gets its name once its
SHA-256 is right. Beyond the size of the cache, what was opened longest ago is deleted, unless a
process has it open.

Any file system of fsspec will do: ``s3://``, ``gs://``, ``hf://``, ``file://`` (a slow disk that
all machines share, read through a fast one of each). fsspec, which torch and Lightning bring, is
imported here alone, where there is an address.
"""

import errno
import hashlib
import json
import logging
import os
import re
import shutil
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple, NoReturn

from filelock import FileLock, Timeout
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from avfusion.addresses import check_address, redact
from avfusion.bounds import NonNegativeFloat
from avfusion.console import is_interactive
from avfusion.data.computed import STREAM_FILE
from avfusion.data.files import DESCRIPTION
from avfusion.files import atomic_write, data_folder, hash_file
from avfusion.messages import format_duration, join_items, pluralize

log = logging.getLogger(__name__)
LISTING_FILE = "listing.json"  # of the files of a store, for processes that open it a second time
CHUNK_BYTES = 8 * 2**20  # of a request
CHUNKS_AT_ONCE = 4  # of a file
FILES_AT_ONCE = 4
ATTEMPTS = 4  # without a byte in between; the clients of S3 and others try again by themselves
RETRY_SECONDS = 1.0  # seconds after the first, twice as many after each other
GB = 10**9
CACHED_FOLDER = re.compile(
    r"[^/]*-[0-9a-f]{8}/[0-9a-f]{16}"
)  # folders of this module, below a cache
INSTALL_HINTS = {
    "s3": "s3fs (pip install -e '.[remote]')",
    "s3a": "s3fs (pip install -e '.[remote]')",
    "gs": "gcsfs (pip install gcsfs)",
    "gcs": "gcsfs (pip install gcsfs)",
    "hf": "huggingface_hub (pip install huggingface_hub)",
}


class Cache:
    """Folder of stores that are read from addresses, and their largest size together.

    Args:
        folder: By default ``cache`` in the data folder.
        size_gb: The size beyond which stores are deleted that no process has open, in 10^9 bytes.
    """

    def __init__(self, folder: str | None = None, size_gb: NonNegativeFloat = 50.0) -> None:
        self.folder = Path(folder or f"{data_folder()}/cache")
        self.size_gb = size_gb

    def lock(self) -> AbstractContextManager[Any]:
        """Lock what is opened and deleted, for no longer than that takes.

        Raises:
            PermissionError: Nothing can be written there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            return FileLock(self.folder / "cache.lock").acquire()
        except OSError as error:
            raise PermissionError(
                f"The cache {self.folder} cannot be written ({error}): name another folder with "
                "data.cache.folder=..., or set AVFUSION_DATA to one."
            ) from error

    def list_stores(self) -> list[Path]:
        """List the cached stores, and nothing else that the folder may hold."""
        return [
            folder
            for folder in self.folder.glob("*/*/")
            if CACHED_FOLDER.fullmatch(folder.relative_to(self.folder).as_posix())
            and lock_file(folder).is_file()
        ]

    def make_room(self, needed: int, what: str) -> None:
        """Delete the stores that were opened longest ago, until there is room for so many bytes.

        Raises:
            OSError: There is none, in the cache or on its disk.
        """
        with self.lock():
            sizes = {folder: measure_size(folder) for folder in self.list_stores()}
            total, limit = sum(sizes.values()) + needed, self.size_gb * GB
            oldest = sorted(sizes, key=lambda folder: read_date(lock_file(folder)))
            while total > limit or shutil.disk_usage(self.folder).free < needed:
                if not oldest:
                    break
                folder = oldest.pop(0)
                if delete_unused(folder):
                    total -= sizes[folder]
                    log.info("Deleted from the cache: %s (%.1f GB)", folder, sizes[folder] / GB)

        if total > limit:
            raise OSError(
                f"data.cache.size_gb={self.size_gb:g} is too little for {what}, of which "
                f"{needed / GB:.3g} GB are missing, beside the {(total - needed) / GB:.3g} GB that "
                f"are in use: set at least {total / GB:.3g}."
            )
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            refuse_full_disk(self.folder, needed, free, what)


def refuse_full_disk(folder: Path, needed: int, free: int, what: str) -> NoReturn:
    """Say that a disk cannot hold what has to be fetched."""
    raise OSError(
        f"{what} needs {needed / GB:.3g} GB more, and the disk of {folder} has {free / GB:.3g} GB "
        "left: free some, or name another folder with data.cache.folder=..."
    )


def lock_file(folder: Path) -> Path:
    """Lock of a cached store."""
    return folder.with_name(f"{folder.name}.lock")


def read_date(file: Path) -> float:
    """Read when a lock was last taken."""
    return file.stat().st_mtime if file.exists() else 0.0


def measure_size(folder: Path) -> int:
    """Bytes of the files of a folder, some of which other processes may be renaming."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:
                continue
    return total


def delete_unused(folder: Path) -> bool:
    """Delete a cached store, unless a process has it open; the cache is locked."""
    import fcntl

    number = os.open(lock_file(folder), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
        lock_file(folder).unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(number)
    return True


class Origin(NamedTuple):
    """Identity of a store at an address: its description, and checksums of its files."""

    address: str
    name: str  # folder in the cache, with that of this description
    lengths: dict[str, int]  # of the files that are there
    sums: dict[str, str]  # of those that have to be


class CachedStore:
    """The files of a store at an address, of which those that are asked for are in the cache.

    As long as this object lives, in this process or in its forks, they are not deleted.
    """

    def __init__(self, origin: Origin, cache: Cache) -> None:
        self.origin = origin
        self.cache = cache
        self.address = origin.address
        self.root = cache.folder / origin.name
        self._hold()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the processes of a loader open the same files without another request."""
        return CachedStore, (self.origin, self.cache)

    def _hold(self) -> None:
        """Lock the folder for as long as this object lives."""
        import fcntl  # of Unix alone, as forks are; filelock knows no lock that several hold

        with self.cache.lock():
            self.root.mkdir(parents=True, exist_ok=True)
            lock = lock_file(self.root)
            # Of the system: forks share it, and it ends with the last of them, killed or not.
            number = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.flock(number, fcntl.LOCK_SH)
            os.utime(number)
        weakref.finalize(self, os.close, number)

    def find(self, pattern: str) -> list[Path]:
        """Paths of the files that match a pattern, in their order."""
        names = (name for name in self.origin.sums if name.count("/") == pattern.count("/"))
        return [self.root / name for name in sorted(names) if fnmatchcase(name, pattern)]

    def get(self, path: Path) -> Path:
        """The same path, once the file was fetched."""
        self.fetch([path])
        return path

    def fetch(self, paths: Iterable[Path]) -> None:
        """Fetch the files that are not there yet, some at a time.

        Raises:
            OSError: That is not possible.
            ValueError: A file is not what it was when the store was prepared.
        """
        names = dict.fromkeys(path.relative_to(self.root).as_posix() for path in paths)
        missing = [name for name in names if not self.is_there(name)]
        if not missing:
            return
        if lost := [name for name in missing if name not in self.origin.lengths]:
            raise FileNotFoundError(
                f"{self.address} lacks {join_items(lost, 3)}: upload the store again "
                "(prepare.upload=...)."
            )
        begun = sum(_size_of(self.partial(name)) for name in missing)
        needed = sum(self.origin.lengths[name] for name in missing)
        self.cache.make_room(max(0, needed - begun), self.address)
        self._fetch_all(missing, needed)

    def is_there(self, name: str) -> bool:
        """Whether a file was fetched."""
        return _size_of(self.root / name) == self.origin.lengths.get(name, -1)

    def partial(self, name: str) -> Path:
        """Path of the beginning of a file, while it is fetched."""
        return self.root / f"{name}.partial"

    def _fetch_all(self, names: list[str], needed: int) -> None:
        started = time.perf_counter()
        what = f"{pluralize(len(names), 'file')} of {self.address}"
        if needed > CHUNK_BYTES:
            log.info("Fetching %s, %.3g GB, into %s", what, needed / GB, self.root)
        columns = (TextColumn("Fetching"), BarColumn(), DownloadColumn())
        rest = (TransferSpeedColumn(), TimeRemainingColumn())
        fs, root = connect(self.address)
        stop = Event()
        with (
            Progress(*columns, *rest, transient=True, disable=not is_interactive()) as progress,
            ThreadPoolExecutor(min(FILES_AT_ONCE, len(names))) as pool,
        ):
            bar = progress.add_task("", total=needed)

            def advance(size: int) -> None:
                progress.advance(bar, size)

            transfers = [Transfer(fs, root, name, advance, stop, self) for name in names]
            try:
                list(pool.map(Transfer.run, transfers))
            finally:  # an interruption must not wait for gigabytes
                stop.set()
        if needed > CHUNK_BYTES:
            log.info("Fetched %s in %s", what, format_duration(time.perf_counter() - started))


class Transfer(NamedTuple):
    """Transfer of a file into the cache; ``advance`` is called with bytes, ``stop`` ends it."""

    fs: Any
    folder: str
    name: str
    advance: Callable[[int], None]
    stop: Event
    store: CachedStore

    @property
    def address(self) -> str:
        """Address of the file."""
        return f"{self.store.address}/{self.name}"

    def run(self) -> None:
        """Fetch the file, or wait for the process that does; what fails ends all others."""
        try:
            self.fetch()
        except BaseException:
            self.stop.set()
            raise

    def fetch(self) -> None:
        """Fetch the file unless it is there meanwhile; a damaged one is fetched once more."""
        path = self.store.root / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            if not self._lock(stack, f"{path}.fetch") or self.store.is_there(self.name):
                return
            partial = self.store.partial(self.name)
            promised = self.store.origin.sums[self.name]
            for _ in range(2):
                self.complete(partial)
                if self.stop.is_set():
                    return
                found = hash_file(partial)
                if found == promised:
                    os.replace(partial, path)
                    return
                partial.unlink()

        raise ValueError(
            f"{self.address} is damaged, fetched twice: its SHA-256 is {found}, not {promised}. "
            "Delete it there, and upload the store again (prepare.upload=...)."
        )

    def _lock(self, stack: ExitStack, file: str) -> bool:
        """Lock a file until a stack ends; say whether nothing has stopped this meanwhile."""
        while not self.stop.is_set():
            with suppress(Timeout):
                stack.enter_context(FileLock(file).acquire(timeout=RETRY_SECONDS))
                return True
        return False

    def complete(self, partial: Path) -> None:
        """Fetch what is missing of the file, from where it ends, a few pieces at a time."""
        length = self.store.origin.lengths[self.name]
        failures = 0
        with partial.open("ab") as file:
            done = file.tell()
            self.advance(done)
            while done < length and not self.stop.is_set():
                starts = list(range(done, length, CHUNK_BYTES))[:CHUNKS_AT_ONCE]
                ends = [min(start + CHUNK_BYTES, length) for start in starts]
                before, error = done, None
                for piece, end in zip(self.read(starts, ends), ends, strict=True):
                    if isinstance(piece, Exception):
                        error = piece
                        break
                    self.write(file, piece)
                    self.advance(len(piece))
                    done += len(piece)
                    if done < end:
                        error = EOFError(f"{end - done} bytes less than promised")
                        break
                failures = failures + 1 if done == before else 0
                if error is not None:
                    given_up = isinstance(error, PermissionError | FileNotFoundError)
                    if given_up or failures == ATTEMPTS:
                        raise explain_error(error, self.address) from None
                    self.stop.wait(RETRY_SECONDS * 2**failures if failures else 0)

    def read(self, starts: list[int], ends: list[int]) -> list[Any]:
        """Read pieces of the file; what cannot be read is an exception."""
        source = f"{self.folder}/{self.name}"
        try:
            return self.fs.cat_ranges([source] * len(starts), starts, ends, on_error="return")
        except Exception as error:  # of as many kinds as there are file systems
            return [error] * len(starts)

    def write(self, file: Any, piece: bytes) -> None:
        """Write a piece, whole or not at all."""
        try:
            file.write(piece)
            file.flush()
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            free = shutil.disk_usage(self.store.root).free
            refuse_full_disk(self.store.root, len(piece), free, self.address)


def _size_of(path: Path) -> int:
    """Size of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def connect(address: str) -> tuple[Any, str]:
    """File system of an address, and the path of the address in it.

    Raises:
        ValueError: The address is none that fsspec knows, or its package is missing.
    """
    from fsspec.core import url_to_fs

    protocol = address.partition("://")[0]
    try:
        # Folders of a local file system are made where something is written.
        options = {"auto_mkdir": True} if protocol in ("file", "local") else {}
        fs, path = url_to_fs(address, **options)
    except ImportError as error:
        package = INSTALL_HINTS.get(protocol, str(error))
        raise ValueError(f"{address} needs a package that is missing: {package}.") from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise ValueError(f"{address} is no address: {redact(str(error))}") from None
        raise ValueError(
            f"{address} begins with {protocol}://, which fsspec does not know: give s3://, gs://, "
            "hf:// or another of its protocols, or the path of a folder."
        ) from error
    return fs, path.rstrip("/")


def is_missing_bucket(error: Exception) -> bool:
    """Whether it is a bucket that is not there, not a file in it."""
    return isinstance(error, FileNotFoundError) and "bucket does not exist" in str(error)


def explain_error(error: Exception, address: str, verb: str = "read") -> Exception:
    """Say in a sentence what is wrong at an address, and what to do; credentials are hidden."""
    kind, reason = type(error).__name__, redact(f"{error}".partition("\n")[0]) or "no reason given"
    if isinstance(error, PermissionError) or "Credentials" in kind:
        return PermissionError(
            f"{address} cannot be {verb} with the credentials of this environment ({reason}): for "
            "s3:// set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for others "
            "log in as their clients do."
        )
    if isinstance(error, FileNotFoundError):
        if is_missing_bucket(error):
            bucket = address.partition("://")[2].partition("/")[0]
            return FileNotFoundError(
                f"There is no bucket {bucket} for {address}: correct the address, or create it."
            )
        return FileNotFoundError(f"{address} is not there.")
    return OSError(
        f"{address} cannot be {verb} ({kind}: {reason}): check the network and the endpoint (for "
        "s3:// AWS_ENDPOINT_URL); what was transferred stays, and the same command goes on."
    )


def open_cached(address: str, cache: Cache) -> CachedStore:
    """Open a store at an address; of its files, only the descriptions are fetched.

    Where the address cannot be reached, what was opened last from it will do.

    Raises:
        FileNotFoundError: There is no store, or a half-written one.
        PermissionError: It must not be read, or the cache not be written.
        OSError: It cannot be read, and was never opened before.
        ValueError: There cannot be a store, or its description is none.
    """
    address = check_address(address)
    fs, root = connect(address)
    name = f"{address.rpartition('/')[2]}-{digest_bytes(address.encode())[:8]}"
    try:
        content = read_bytes(fs, f"{root}/{DESCRIPTION}")
        lengths = list_files(fs, root)
        streams = {
            file: read_bytes(fs, f"{root}/{file}")
            for file in lengths
            if file.count("/") == 1 and file.endswith(f"/{STREAM_FILE}")
        }
    except FileNotFoundError as error:
        raise explain_missing(error, fs, root, address) from None
    except Exception as error:  # of as many kinds as there are file systems
        known = find_opened(cache, name, address)
        if known is None or isinstance(error, PermissionError):
            raise explain_error(error, address) from None
        log.warning(
            "%s, so what was opened before is read.", str(explain_error(error, address))[:-1]
        )
        return known

    origin = Origin(
        address,
        f"{name}/{digest_bytes(content)[:16]}",
        lengths,
        read_sums(content, streams, address),
    )
    store = CachedStore(origin, cache)
    update_folder(store, {DESCRIPTION: content} | streams)
    return store


def read_sums(content: bytes, streams: Mapping[str, bytes], address: str) -> dict[str, str]:
    """Checksums of all files of a store, by what its description and its streams say."""
    try:
        sums = dict(json.loads(content)["checksums"])
        for file, described in streams.items():
            folder = file.rpartition("/")[0]
            own = json.loads(described)["checksums"]
            sums |= {file: digest_bytes(described)} | {f"{folder}/{one}": own[one] for one in own}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{address}/{DESCRIPTION} does not describe a store with checksums: give another "
            "data.store, or upload the store again (prepare.upload=...)."
        ) from error
    return sums


def update_folder(store: CachedStore, contents: Mapping[str, bytes]) -> None:
    """Write the descriptions of a store and of its streams, where they are others than before."""
    with FileLock(f"{store.root}/{LISTING_FILE}.fetch"):
        for name, content in contents.items():
            path = store.root / name
            if path.exists() and path.read_bytes() == content:
                continue
            if name.endswith(STREAM_FILE):  # another stream of this name, or none before
                shutil.rmtree(path.parent, ignore_errors=True)
            path.parent.mkdir(exist_ok=True)
            with atomic_write(path) as partial:
                partial.write_bytes(content)
        for path in store.root.glob(f"*/{STREAM_FILE}"):
            if path.relative_to(store.root).as_posix() not in contents:  # deleted there
                shutil.rmtree(path.parent, ignore_errors=True)
        with atomic_write(store.root / LISTING_FILE) as partial:
            known = {"lengths": store.origin.lengths, "sums": store.origin.sums}
            partial.write_text(json.dumps(known), encoding="utf-8")


def find_opened(cache: Cache, name: str, address: str) -> CachedStore | None:
    """Find what was opened last from an address that cannot be reached."""
    found = [file.parent for file in (cache.folder / name).glob(f"*/{LISTING_FILE}")]
    if not found:
        return None
    last = max(found, key=lambda folder: read_date(lock_file(folder)))
    known = json.loads((last / LISTING_FILE).read_text(encoding="utf-8"))
    return CachedStore(Origin(address, f"{name}/{last.name}", **known), cache)


def explain_missing(error: FileNotFoundError, fs: Any, root: str, address: str) -> Exception:
    """Say whether a bucket, a store, or the end of one is missing."""
    if is_missing_bucket(error):
        return explain_error(error, address)
    try:
        found = list_files(fs, root)
    except Exception:  # whatever it is, there is no store
        found = {}
    if found:
        return FileNotFoundError(
            f"The store in {address} is half-written: it has {pluralize(len(found), 'file')} and "
            f"no {DESCRIPTION}, which is written last. Let its upload go on, with the command that "
            "began it (prepare.upload=...)."
        )
    return FileNotFoundError(
        f"No store in {address}. Write it there with: python src/prepare.py corpus.root=<folder> "
        f"prepare.upload={address.rpartition('/')[0]}, and give data.store=<the address it prints>."
    )


def read_bytes(fs: Any, path: str) -> bytes:
    """Read a small file, as it is now."""
    return bytes(fs.cat_file(path))


def list_files(fs: Any, root: str) -> dict[str, int]:
    """Lengths of all files below a path, by their names below it."""
    fs.invalidate_cache()
    found = fs.find(root, detail=True)
    return {
        str(path)[len(root) :].lstrip("/"): int(
            fs.size(path) if info.get("size") is None else info["size"]
        )
        for path, info in found.items()
        if str(path).startswith(f"{root}/")
    }


def digest_bytes(content: bytes) -> str:
    """SHA-256 of some bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
