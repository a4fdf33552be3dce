"""Files of weights inside installed packages, which are read without importing those."""

from importlib.util import find_spec
from pathlib import Path


def find_file(path: str | None, package: str, inside: str, install: str) -> Path:
    """Find a file of weights: at a path or, without one, inside a package.

    Raises:
        FileNotFoundError: it is not there; ``install`` is the command that brings it.
    """
    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"No weights at {path}: give a file, or null and {install}.")
        return Path(path)

    spec = find_spec(package)  # which imports nothing
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    for folder in folders:
        if (file := Path(folder) / inside).is_file():
            return file
    raise FileNotFoundError(f"{inside} of the package {package} is not on this machine: {install}.")
