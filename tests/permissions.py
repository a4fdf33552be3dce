"""Folders that nobody may write to, for root, too."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

VERSION = 0x20080522  # of Linux' capabilities
CALLS = {"x86_64": (125, 126), "aarch64": (90, 91)}  # numbers of capget and capset
OVERRIDE = 0b111  # CHOWN, DAC_OVERRIDE and DAC_READ_SEARCH, by which root ignores modes


def obey_modes(obey: bool) -> None:
    """Let root obey the modes of files as everybody does, or ignore them again."""
    if os.geteuid() != 0:
        return
    machine = os.uname().machine
    if machine not in CALLS:
        raise OSError(f"no numbers of system calls for {machine}")
    system = ctypes.CDLL(None, use_errno=True).syscall
    header = ctypes.create_string_buffer(struct.pack("Ii", VERSION, 0))
    sets = ctypes.create_string_buffer(24)  # effective, permitted, inheritable, low and high
    capget, capset = CALLS[machine]
    if system(capget, header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    words = list(struct.unpack("6I", sets.raw))
    words[0] = words[1] & ~OVERRIDE if obey else words[1]
    if system(capset, header, ctypes.create_string_buffer(struct.pack("6I", *words))):
        raise OSError(ctypes.get_errno(), "capset")


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder, for so long; skip where this cannot be had."""
    places = [folder, *(path for path in folder.rglob("*") if not path.is_symlink())]
    modes = {path: path.stat().st_mode for path in places}
    for path in places:
        path.chmod(modes[path] & 0o555)
    try:
        try:
            obey_modes(True)
        except OSError as error:
            pytest.skip(f"this process ignores the modes of files: {error}")
        try:
            (folder / "written").touch()
        except PermissionError:
            yield
        else:
            (folder / "written").unlink()
            pytest.skip("this process ignores the modes of files")
    finally:
        obey_modes(False)
        for path, mode in modes.items():
            path.chmod(mode)
