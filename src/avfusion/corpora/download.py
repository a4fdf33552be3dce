"""Download of data sets through torchvision, whole or not at all."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock


def download_dataset(
    dataset: str, root: Path, find_files: Callable[[], list[Path]], hint: str
) -> None:
    """Download a data set into a folder, or say how its files come there.

    What arrives is moved there whole; of what fails nothing stays, and what a killed process left
    goes with the next attempt.

    Args:
        dataset: its class in ``torchvision.datasets``.
        find_files: finds the files where another process was first.
        hint: what to put in ``root`` by hand, such as "the four files".

    Raises:
        FileNotFoundError: if it cannot be downloaded.
        ValueError: if torchvision is not installed.
    """
    fix = f"{hint} in {root}, or name the folder that has them (data.root=..., or corpus.root)"
    try:
        from torchvision import datasets  # takes seconds, and is not needed otherwise
    except ImportError as error:
        raise ValueError(
            f"No {dataset} in {root}, and downloading it needs torchvision: pip install -e "
            f"'.[encoders]', or put {fix}."
        ) from error

    new = [folder for folder in (root, *root.parents) if not folder.exists()]
    home = root if root.is_dir() else root.parent  # on the disk that the files belong on
    try:
        home.mkdir(parents=True, exist_ok=True)
        with (
            _lock_folder(home / f".{root.name}.lock"),
            _temporary_folder(home / f".{root.name}.partial") as partial,
            warnings.catch_warnings(action="ignore"),
        ):
            if not find_files():  # another process may have been first
                for archive in root.glob("*.tar.gz"):
                    shutil.copy(archive, partial)  # torchvision takes it if it is whole
                getattr(datasets, dataset)(str(partial), download=True)
                _move_into(partial, root)
    except Exception as error:  # of whatever library downloads it
        reason = " ".join(str(error).split())
        raise FileNotFoundError(
            f"No {dataset} in {root}, and it cannot be downloaded ({reason}): put {fix}."
        ) from error
    finally:
        for folder in new:
            with suppress(OSError):  # it holds something
                folder.rmdir()


@contextmanager
def _lock_folder(lock: Path) -> Iterator[None]:
    """Keep other processes out, and leave no lock behind."""
    with FileLock(lock):
        try:
            yield
        finally:
            with suppress(OSError):
                lock.unlink()


@contextmanager
def _temporary_folder(folder: Path) -> Iterator[Path]:
    """Make a folder, without what an earlier one held, and delete it in the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_into(source: Path, target: Path) -> None:
    """Move a file or folder to its target; a folder that is there gets what it lacks."""
    try:
        os.replace(source, target)
    except OSError:
        if not (source.is_dir() and target.is_dir()):
            raise
        for entry in source.iterdir():
            _move_into(entry, target / entry.name)
