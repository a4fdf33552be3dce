"""Image archives: labeled pictures, thousands to a file, as CIFAR-10 and MNIST are published."""

import gzip
import math
import pickle
import random
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.download import download_dataset
from avfusion.corpora.recording import Contents, Recording
from avfusion.messages import join_items

GZIP_SIGNATURE = b"\x1f\x8b"
IDX_SIGNATURE = b"\x00\x00\x08"  # of a file of bytes; the number of axes follows
# All globals that a pickled array refers to, in each version of Python and numpy.
ARRAY_GLOBALS = {
    ("_codecs", "encode"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
}


class ImageArchive:
    """A benchmark of labeled pictures without sound or subjects, in the files of its publisher.

    The files are found in ``root``, or in ``folder`` there, or are downloaded. The publisher's
    splits are not ours to correct: pictures that are in two of them are counted in every result.
    Subclasses say which files they are, and read them in ``read_splits``.

    Args:
        root: the folder that holds the files, or gets them.
        validation: fraction of the training pictures that becomes the validation split.
        split_seed: draws these.

    Attributes:
        class_names: names of the classes, by the numbers in the files.
        folder: the folder of the files, as torchvision unpacks them.
        file_names: the files; each may be compressed (``.gz``).
        dataset: torchvision's name of the data set.
        download_hint: what to put in ``root`` where downloading fails.
    """

    name: str
    class_names: Sequence[str]
    folder: str
    file_names: Sequence[str]
    dataset: str
    download_hint: str

    on_error = "raise"
    labels = "single_label"
    allowed_leaks = (
        "same_picture_in_two_splits",
        "two_labels_for_one_recording",
        "untrained_classes",
    )

    def __init__(self, root: str, validation: float = 0.1, split_seed: int = 0) -> None:
        if not 0 < validation < 1:
            raise ValueError(f"corpus.validation must lie between 0 and 1, got {validation}.")
        if split_seed < 0:
            raise ValueError(f"corpus.split_seed must be at least 0, got {split_seed}.")
        self.root = Path(root).resolve()
        self.validation = validation
        self.split_seed = split_seed

    @property
    def is_there(self) -> bool:
        """Whether reading downloads nothing."""
        return bool(self.find_files())

    def read(self) -> Contents:
        """Read the labels of all pictures; download the files first if they are not there.

        Raises:
            FileNotFoundError: if a file is missing, or cannot be downloaded.
            ValueError: if a file is not what its name says, or torchvision is needed and missing.
        """
        files = self.find_files()
        if not files:
            download_dataset(self.dataset, self.root, self.find_files, self.download_hint)
            files = self.find_files()

        training, test = self.read_splits(files)
        training = draw_validation(training, self.validation, self.split_seed)
        return Contents(training + test, list(self.class_names))

    def read_splits(self, files: list[Path]) -> tuple[list[Recording], list[Recording]]:
        """Read the pictures to train on, and those to test on, from ``file_names``."""
        raise NotImplementedError

    def find_files(self) -> list[Path]:
        """Find the files in the order of ``file_names``; empty where none of them is there."""
        return find_files([self.root / self.folder, self.root], self.file_names)


def find_files(folders: Sequence[Path], names: Sequence[str]) -> list[Path]:
    """Find files, compressed or not, in the first folder that has one; empty where none has.

    Raises:
        FileNotFoundError: if that folder lacks some of them.
    """
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


def draw_validation(training: list[Recording], fraction: float, seed: int) -> list[Recording]:
    """Draw a fraction of the training pictures for validation; at least one, and not all."""
    count = min(max(1, round(fraction * len(training))), len(training) - 1)
    drawn = set(random.Random(seed).sample(range(len(training)), count))
    return [
        replace(clip, split="val") if number in drawn else clip
        for number, clip in enumerate(training)
    ]


def read_archived_picture(path: Path, index: int) -> UInt8[np.ndarray, "height width 3"]:
    """Read one picture of a file of many, in color; gray is the same in each channel."""
    picture = _read_pictures(path, path.stat().st_mtime_ns)[index]
    color = picture if picture.ndim == 3 else np.stack([picture] * 3, axis=-1)
    return np.ascontiguousarray(color)


@lru_cache(maxsize=1)
def _read_pictures(path: Path, modified: int) -> UInt8[np.ndarray, "clips height width *channels"]:
    """Read all pictures of a file; they are asked for one after the other, so it is read once."""
    return read_cifar_batch(path)[0] if "batch" in path.name else read_idx(path, axes=3)


def read_cifar_batch(path: Path) -> tuple[UInt8[np.ndarray, "clips height width 3"], list[int]]:
    """Read pictures and labels of a batch of CIFAR-10's version for Python.

    Raises:
        ValueError: if it is no such batch, or would call anything but numpy's constructors.
    """
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


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler of arrays and plain containers; a pickle that calls anything else is refused."""

    def find_class(self, module: str, name: str) -> Any:
        """Find a part of an array."""
        if (module, name) not in ARRAY_GLOBALS:
            raise pickle.UnpicklingError(f"it calls {module}.{name}")
        return super().find_class(module, name)


def read_idx(path: Path, axes: int) -> UInt8[np.ndarray, "..."]:
    """Read an array of so many axes from an IDX file of bytes, compressed or not.

    Raises:
        ValueError: if the file is something else, or cut off.
    """
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(GZIP_SIGNATURE) else content
        if content[:4] != IDX_SIGNATURE + bytes([axes]):
            raise ValueError(f"it begins with {content[:4].hex(' ')}")
        sizes = np.frombuffer(content, ">u4", axes, offset=4).tolist()
        if len(content) != 4 + 4 * axes + math.prod(sizes):
            raise ValueError(f"it has {len(content)} bytes, not those of {sizes}")
    except (EOFError, ValueError, gzip.BadGzipFile) as error:
        raise ValueError(
            f"{path} is no IDX file of bytes with {axes} axes ({error}): get it anew."
        ) from error

    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(sizes)
