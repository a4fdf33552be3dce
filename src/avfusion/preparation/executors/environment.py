"""Environment of a worker: versions of what decides the bytes of a store."""

import hashlib
import platform
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import avfusion

# What decodes, resizes and computes; of other packages, encoders of streams say who they are.
PACKAGES = ("torch", "numpy", "av", "pillow", "opencv-python-headless", "scipy")


@cache
def describe_environment() -> dict[str, str]:
    """Versions of Python, of avfusion and its files, and of what it decodes with."""
    versions = {"Python": platform.python_version(), "files of avfusion": digest_package()}
    for name in ("avfusion", *PACKAGES):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # a build under another name
            versions[name] = "not installed"
    return versions


def digest_package() -> str:
    """Eight digits of the files of avfusion, of which a clone may have changed one."""
    root, state = Path(avfusion.__file__).parent, hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        state.update(f"{file.relative_to(root).as_posix()} {file.stat().st_size};".encode())
        state.update(file.read_bytes())
    return state.hexdigest()[:8]


def check_same_environment(environment: dict[str, str]) -> None:
    """Refuse to compute in another environment than the process that has started this one.

    Raises:
        ValueError: names the differing versions and this machine.
    """
    own = describe_environment()
    differing = [
        f"{name} {own.get(name)} instead of {theirs}"
        for name, theirs in environment.items()
        if own.get(name) != theirs
    ]
    if differing:
        raise ValueError(
            f"The worker on {socket.gethostname()} has {', '.join(differing)}, so a store would "
            "not be the same everywhere: start it in the environment of this process."
        )
