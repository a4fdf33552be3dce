"""Pictures that lie by the thousand in one file: batches of CIFAR-10, IDX files of MNIST."""

import gzip
import math
import os
import pickle
import random
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from jaxtyping import UInt8

from avfusion.corpora.recording import Recording
from avfusion.messages import join_items

GZIP = b"\x1f\x8b"
IDX = b"\x00\x00\x08"  # what a file of bytes begins with; the number of axes follows
# All that a pickled array is made of, in the words of each Python and numpy.
ARRAY = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
}


class ArrayUnpickler(pickle.Unpickler):
    """Read arrays and plain containers; a pickle that calls anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Return a part of an array."""
        if (module, name) not in ARRAY:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return super().find_class(module, name)


def read_batch(path: Path) -> tuple[UInt8[np.ndarray, "clips height width 3"], list[int]]:
    """Return pictures and labels of a batch of CIFAR-10's version for Python."""
    try:
        # The numbers in its descriptions of arrays are older than numpy's rules for them.
        with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
            batch = ArrayUnpickler(file, encoding="latin1").load()
        pictures = batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = [int(label) for label in batch["labels"]]
        if pictures.dtype != np.uint8 or len(labels) != len(pictures):
            raise ValueError(f"{len(labels)} labels, {len(pictures)} pictures")
    except OSError:
        raise
    except Exception as error:  # of any kind, where a file is something else
        raise ValueError(
            f"{path} is no batch of CIFAR-10 ({error}): unpack cifar-10-python.tar.gz anew."
        ) from error
    return pictures, labels


def read_idx(path: Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """Return an array of so many axes from an IDX file, compressed or not."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP) else content
        if content[:4] != IDX + bytes([axes]):
            raise ValueError(f"it begins with {content[:4].hex(' ')}")
        sizes = np.frombuffer(content, ">u4", axes, offset=4).tolist()
        if len(content) != 4 + 4 * axes + math.prod(sizes):
            raise ValueError(f"it has {len(content)} bytes, not those of {sizes}")
    except (EOFError, ValueError, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is no IDX file of bytes with {axes} axes ({error}): get it anew."
        ) from error
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sizes)


def read_packed(path: Path, place: int) -> UInt8[np.ndarray, "height width 3"]:
    """Return one picture of a file of many, in colour; grey is the same in each channel."""
    picture = unpacked(path, path.stat().st_mtime_ns)[place]
    colour = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=-1)
    return np.ascontiguousarray(colour)


@lru_cache(maxsize=1)
def unpacked(path: Path, changed: int) -> UInt8[np.ndarray, "clips height width *channels"]:
    """Return the pictures of a file; they come one after the other, so it is read once."""
    return read_batch(path)[0] if "batch" in path.name else read_idx(path, axes=3)


def find_files(folders: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Return the files of these names in the first folder that has one, or nothing; also .gz."""
    for folder in folders:
        found = [path for name in names for path in (folder / name, folder / f"{name}.gz")]
        files = {path.name.removesuffix(".gz"): path for path in reversed(found) if path.is_file()}
        if missing := [name for name in names if files and name not in files]:
            raise FileNotFoundError(
                f"{folder} lacks {join_items(missing)}: put the file there, or empty the folder, "
                "and it is downloaded whole."
            )
        if files:
            return [files[name] for name in names]
    return []


def fetch(name: str, root: Path, find: Callable[[], list[Path]], unpack: str) -> list[Path]:
    """Download a data set into a folder as torchvision does, or say how it comes there.

    ``find`` looks for its files. What arrives is moved there whole; of what fails, nothing stays,
    and what a killed process left goes with the next attempt.
    """
    cure = f"{unpack} in {root}, or name the folder that has them (data.root=..., or corpus.root)"
    try:
        from torchvision import datasets  # takes seconds, and is not needed otherwise
    except ImportError as error:
        raise ValueError(
            f"No {name} in {root}, and downloading it needs torchvision: pip install -e "
            f"'.[encoders]', or put {cure}."
        ) from error
    new = [folder for folder in (root, *root.parents) if not folder.exists()]
    home = root if root.is_dir() else root.parent  # on the disk that the files belong on
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (
            alone(home / f".{root.name}.lock"),
            discarded(home / f".{root.name}.partial") as partial,
            warnings.catch_warnings(action="ignore"),
        ):
            if not find():  # another process may have been first
                for archive in root.glob("*.tar.gz"):
                    shutil.copy(archive, partial)  # torchvision takes it if it is whole
                getattr(datasets, name)(str(partial), download=True)
                move_into(partial, root)
    except Exception as error:  # of whatever library fetches it
        said = " ".join(str(error).split())
        raise FileNotFoundError(
            f"No {name} in {root}, and it cannot be downloaded ({said}): put {cure}."
        ) from error
    finally:
        for folder in new:
            with suppress(OSError):  # it holds something
                folder.rmdir()
    return find()


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep other processes out, and leave no lock behind."""
    with FileLock(lock):
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()


@contextmanager
def discarded(folder: Path) -> Iterator[Path]:
    """Make a folder, without what an earlier one held, and delete it in the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def move_into(source: Path, target: Path) -> None:
    """Move a file or folder to its place; a folder that is there gets what it lacks."""
    try:
        os.replace(source, target)
    except OSError:
        if not (source.is_dir() and target.is_dir()):
            raise
        for entry in source.iterdir():
            move_into(entry, target / entry.name)


def check_validation(validation: float, split_seed: int) -> None:
    """Refuse a part of the training pictures that leaves nothing to train or to validate on."""
    if not 0 < validation < 1:
        raise ValueError(f"corpus.validation must lie between 0 and 1, got {validation}.")
    if split_seed < 0:
        raise ValueError(f"corpus.split_seed must be at least 0, got {split_seed}.")


def with_validation(training: list[Recording], validation: float, seed: int) -> list[Recording]:
    """Return training pictures of which a part, chosen by seed, is for validation."""
    count = min(max(1, round(validation * len(training))), len(training) - 1)
    chosen = set(random.Random(seed).sample(range(len(training)), count))
    return [
        replace(clip, split="val") if number in chosen else clip
        for number, clip in enumerate(training)
    ]
