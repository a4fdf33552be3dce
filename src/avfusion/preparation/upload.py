"""Upload of a store to object storage: the files of its folder, its description last.

So a store with a description is whole, and an interrupted upload is resumed with what is
not there yet. A computed stream that a store gets later is added in the same way: its stream.json
comes last.

The lengths of objects do not say whose they are: what is begun is named by a marker, a copy of the
description that comes last. Files that another upload has left are emptied before they are written,
which takes no right to delete.
"""

import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from avfusion.addresses import check_address, is_address
from avfusion.console import is_interactive
from avfusion.data.computed import STREAM_FILE, read_computed
from avfusion.data.files import DESCRIPTION, Folder
from avfusion.data.remote import (
    GB,
    connect,
    explain_error,
    is_missing_bucket,
    list_files,
    read_bytes,
)
from avfusion.data.store import read_description
from avfusion.messages import format_duration, pluralize

log = logging.getLogger(__name__)
UPLOAD_KEY = "prepare.upload"
MARKER = ".uploading"  # behind the name of the description that comes last


def check_upload(address: str) -> str:
    """Refuse an address that cannot be written to, as far as is known before long work.

    Raises:
        ValueError: It is no address, or holds credentials.
        FileNotFoundError: Its bucket is missing.
        PermissionError: It cannot be reached with the credentials of this environment.
    """
    if not is_address(address):
        raise ValueError(
            f"{UPLOAD_KEY}={address} is no address, such as s3://bucket/stores: "
            "prepare.stores=<folder> names the folder of stores."
        )
    address = check_address(address, UPLOAD_KEY)
    fs, root = connect(address)
    try:
        list_files(fs, root)
    except Exception as error:  # of as many kinds as there are file systems
        if is_missing_bucket(error) or not isinstance(error, FileNotFoundError):
            raise explain_error(error, address, "listed") from None
    return address


def upload_store(root: Path, address: str) -> str:
    """Write what is not there yet of a store below an address; return the address of the store.

    Raises:
        ValueError: Another store, or another stream, is there.
        OSError: The address cannot be written to.
    """
    destination = f"{check_address(address, UPLOAD_KEY)}/{root.name}"
    fs, target = connect(destination)
    try:
        there = _list_written(fs, target)
        parts = list_parts(root)
        _check_same(fs, root, target, destination, there, parts)
        begun = [description for description in parts if description not in there]
        for description in begun:
            _mark_upload(fs, root, target, there, description, parts[description])
        missing = [name for name in list_in_order(root) if there.get(name) != _size(root, name)]
        _write(fs, root, target, destination, missing)
        for description in begun:
            with suppress(Exception):  # where nothing may be deleted, it says what is there
                fs.rm_file(f"{target}/{description}{MARKER}")
    except ValueError:
        raise
    except Exception as error:  # of as many kinds as there are file systems
        raise explain_error(error, destination, "written") from None
    return destination


def list_in_order(root: Path) -> list[str]:
    """Names of the files of a store: what says that others are whole comes after them."""
    own, *computed = list_parts(root).items()
    files = own[1] + [name for last, names in computed for name in (*names, last)]
    return [*files, own[0]]


def list_parts(root: Path) -> dict[str, list[str]]:
    """Files of a store and of each of its computed streams, by the description of them."""
    parts = {DESCRIPTION: list(read_description(root)["checksums"])}
    for name, stream in read_computed(Folder(root)).items():
        files = [f"{name}/{file}" for file in stream.description["checksums"]]
        parts[f"{name}/{STREAM_FILE}"] = files
    return parts


def _list_written(fs: Any, target: str) -> dict[str, int]:
    try:
        return list_files(fs, target)
    except FileNotFoundError as error:
        if is_missing_bucket(error):
            raise
        return {}


def _check_same(
    fs: Any,
    root: Path,
    target: str,
    destination: str,
    there: dict[str, int],
    descriptions: Iterable[str],
) -> None:
    """Refuse to mix a store, or a stream, with another one of its name."""
    for name in descriptions:
        if name in there and read_bytes(fs, f"{target}/{name}") != (root / name).read_bytes():
            what = name.rpartition("/")[0]
            raise ValueError(
                f"{destination} holds another {f'stream {what}' if what else 'store'} than {root}: "
                f"give another {UPLOAD_KEY}, or delete what is there."
            )


def _mark_upload(
    fs: Any, root: Path, target: str, there: dict[str, int], description: str, names: Iterable[str]
) -> None:
    """Mark what is uploaded, and empty the files that are not known to be of it."""
    marker, content = f"{description}{MARKER}", (root / description).read_bytes()
    if marker in there and read_bytes(fs, f"{target}/{marker}") == content:
        return
    for name in names:
        if there.get(name) == _size(root, name):
            fs.pipe_file(f"{target}/{name}", b"")
            there[name] = 0
    fs.pipe_file(f"{target}/{marker}", content)


def _write(fs: Any, root: Path, target: str, destination: str, names: list[str]) -> None:
    started, whole = time.perf_counter(), sum(_size(root, name) for name in names)
    columns = (TextColumn("Uploading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, transient=True, disable=not is_interactive()) as progress:
        bar = progress.add_task("", total=whole)
        for name in names:
            fs.put_file(str(root / name), f"{target}/{name}")
            progress.advance(bar, _size(root, name))
    if names:
        seconds = format_duration(time.perf_counter() - started)
        what = pluralize(len(names), "file")
        log.info("Uploaded %s, %.3g GB, to %s in %s", what, whole / GB, destination, seconds)


def _size(root: Path, name: str) -> int:
    return (root / name).stat().st_size
