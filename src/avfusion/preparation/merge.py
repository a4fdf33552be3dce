"""Merging the shares of a corpus, which several machines have prepared, into one store.

It has the bytes that a single preparation would have written. A file of a share that is a file of
the store becomes it by a hard link; where edges differ, arrays are copied.
"""

import glob
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avfusion.data.computed import LENGTHS_FILE, MOMENTS_FILE, STREAM_FILE, ComputedStream
from avfusion.data.index import ClipRecord
from avfusion.data.store import (
    MOMENTS_FOLDER,
    WEIGHTS_FILE,
    Store,
    find_shards,
    locate_shard,
    read_description,
)
from avfusion.files import hash_file
from avfusion.messages import join_items, pluralize
from avfusion.preparation.description import StoreFacts, verify_checksums, write_description
from avfusion.preparation.leakage import refuse_leaks
from avfusion.preparation.shards import DecodingResult
from avfusion.preparation.shares import SharePlan, digest_store, read_plan, read_rows
from avfusion.preparation.streams import split_into_chunks
from avfusion.preparation.workers import acquire_lock, check_disk_space

log = logging.getLogger(__name__)
CHUNK_BYTES = 2**26  # that are copied at a time


class Piece(NamedTuple):
    """Items of an array, from ``first`` to before ``last`` of all shares, in a file of one."""

    first: int
    last: int
    file: Path


class FoundShare(NamedTuple):
    """A share of a corpus in a folder, and the row of its first clip in the merged index."""

    plan: SharePlan
    store: Store
    first_row: int

    @property
    def root(self) -> Path:
        """Its folder."""
        return self.store.root


def merge_shares(patterns: Sequence[str], stores: str | Path) -> tuple[Path, bool]:
    """Make one store of all shares of a preparation; return its folder, and whether it was there.

    ``patterns`` are the folders of the shares, or shell patterns of them.

    Raises:
        FileNotFoundError: one of them is no share.
        ValueError: they are not all shares of one preparation, each once, as they were written.
    """
    roots = find_folders(patterns)
    plans = [read_plan(root) for root in roots]
    check_plans(roots, plans)
    shares = open_shares(roots, plans)
    for share in shares:
        verify_checksums(share.root)
        check_clips(share)
    check_streams(shares)

    plan = shares[0].plan
    key = digest_store(
        plan.settings, (row.content for one in shares for row in read_rows(one.root))
    )
    stores = Path(stores)
    target = stores / f"{plan.name}-{key}"
    if target.exists():
        return target, True
    with acquire_lock(stores, target, "store of these shares"):
        if target.exists():  # another process may have made it meanwhile
            return target, True
        # What a preparation of the whole corpus may have begun stays as it is.
        partial = Path(f"{target}.merged")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            write_merged(partial, shares)
            refuse_leaks(read_description(partial)["leaks"], plan.allowed_leaks)
            os.replace(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return target, False


def find_folders(patterns: Sequence[str]) -> list[Path]:
    """Find the folders that are named, or that patterns name."""
    folders = []
    for pattern in patterns:
        whole = [Path(file).parent for file in sorted(glob.glob(f"{pattern}/description.json"))]
        found = [Path(pattern)] if Path(pattern).is_dir() else whole  # but what is begun
        if not found:
            raise FileNotFoundError(
                f"No folder {pattern}: give prepare.merge the folders of shares, or patterns of "
                "them."
            )
        folders += [folder for folder in found if folder.suffix != ".partial"]
    return folders


def check_plans(roots: Sequence[Path], plans: Sequence[SharePlan]) -> None:
    """Refuse shares that do not make one store: of other settings, missing, or given twice."""
    one = plans[0]
    for root, plan in zip(roots, plans, strict=True):
        other = f"{root} is a share of another preparation than {roots[0]}"
        cure = "prepare it again as the others were."
        if (plan.total, plan.clips) != (one.total, one.clips):
            raise ValueError(
                f"{other}: {plan.number} of {plan.total} of {plan.clips} clips, not one of "
                f"{one.total} of {one.clips}: {cure}"
            )
        if differing := _find_differences(plan.facts | {"": plan.settings}, one):
            raise ValueError(f"{other}, of other settings ({join_items(differing)}): {cure}")
        if plan.recordings != one.recordings:
            raise ValueError(
                f"{other}: its corpus lists other recordings, or in another order: {cure}"
            )
        if plan.environment != one.environment:
            names = [k for k, v in one.environment.items() if plan.environment.get(k) != v]
            log.warning(
                "%s was prepared with other versions of %s than %s: arrays may differ in their "
                "last digits.",
                root,
                join_items(names),
                roots[0],
            )

    numbers = Counter(plan.number for plan in plans)
    for number, times in numbers.items():
        if times > 1:
            same = [str(root) for root, plan in zip(roots, plans, strict=True) if plan[0] == number]
            raise ValueError(
                f"Share {number} of {one.total} is given {times} times ({join_items(same)}): "
                "name one of them."
            )
    if missing := [str(n) for n in range(1, one.total + 1) if n not in numbers]:
        verb = "is" if len(missing) == 1 else "are"
        raise ValueError(
            f"{pluralize(len(missing), 'share')} of {one.total} {verb} missing "
            f"({join_items(missing)}): prepare it with prepare.shard={missing[0]}/{one.total}, and "
            "name its folder, too."
        )


def _find_differences(facts: dict[str, Any], one: SharePlan) -> list[str]:
    """Name settings that differ, with both values; those that have no name of their own last."""
    own, theirs = _flatten(facts["features"]), _flatten(one.facts["features"])
    named = [
        f"features.{key}: {own.get(key)} and {theirs.get(key)}"
        for key in {**theirs, **own}
        if own.get(key) != theirs.get(key)
    ]
    others = {key for key in one.facts if key != "features" and facts[key] != one.facts[key]}
    if not named and facts[""] != one.settings:
        others.add("settings")
    return [*named, *sorted(others - ({"streams"} if named else set()))]


def _flatten(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, dict):
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def open_shares(roots: Sequence[Path], plans: Sequence[SharePlan]) -> list[FoundShare]:
    """Open the stores of shares, in the order of the corpus."""
    shares, row = [], 0
    for plan, root in sorted(zip(plans, roots, strict=True), key=lambda pair: pair[0].number):
        shares.append(FoundShare(plan, Store(root), row))
        row += len(shares[-1].store)
    return shares


def check_clips(share: FoundShare) -> None:
    """Refuse a share whose index does not list the clips that were kept."""
    kept, listed = [], 0
    for row in read_rows(share.root):
        listed += 1
        if row.outcome["record"] is not None:
            kept.append(row.outcome["record"]["clip_id"])
    if listed != share.plan.last - share.plan.first or kept != share.store.texts("clip_id"):
        raise ValueError(
            f"{share.root} does not hold the clips of share {share.plan.number} of "
            f"{share.plan.total}: delete it and prepare it again."
        )


def check_streams(shares: Sequence[FoundShare]) -> None:
    """Refuse streams that one share lacks, or that other encoders have computed."""
    for name in list_computed(shares):
        having = [share for share in shares if name in share.store.computed]
        one = having[0].store.computed[name]
        for share in shares:
            if name not in share.store.computed:
                reads = one.stream.reads
                if reads is not None and share.store.has_modality(reads).any():
                    raise ValueError(
                        f"{share.root} lacks the stream {name}, which {having[0].root} has: "
                        "compute it there, too, by the same command."
                    )
                continue
            other = share.store.computed[name]
            differing = [
                f"{key}: {getattr(other.stream, key)} and {getattr(one.stream, key)}"
                for key in ("encoder", "sha256", "kind", "layers", "rate", "offset", "dtype")
                if getattr(other.stream, key) != getattr(one.stream, key)
            ]
            if other.precision != one.precision:
                differing.append(f"precision: {other.precision} and {one.precision}")
            if _item_shape(other) != _item_shape(one):
                differing.append(f"shape: {_item_shape(other)} and {_item_shape(one)}")
            if differing:
                raise ValueError(
                    f"The stream {name} of {share.root} is not that of {having[0].root} "
                    f"({join_items(differing)}): delete its folder, and compute it again."
                )


def _item_shape(computed: ComputedStream) -> tuple[int, ...]:
    """Shape of the items on disk, without steps that differ from clip to clip."""
    shape = list(computed.stream.shape)
    if computed.is_ragged:
        shape.pop(bool(computed.stream.layers))
    return tuple(shape)


def list_computed(shares: Sequence[FoundShare]) -> list[str]:
    """Names of the streams that encoders have computed, or that recordings bring."""
    return list(dict.fromkeys(name for share in shares for name in share.store.computed))


def write_merged(root: Path, shares: Sequence[FoundShare]) -> None:
    """Write the store of all shares into a folder."""
    facts = StoreFacts(**shares[0].plan.facts)
    # Within a file system, most files become those of the store by links, which need no room.
    copied = [one for one in shares if one.root.stat().st_dev != root.stat().st_dev]
    check_disk_space(
        root, sum(path.stat().st_size for one in copied for path in one.root.rglob("*.npy"))
    )
    for name in facts.streams:
        for array in (name, f"{MOMENTS_FOLDER}/{name}"):
            merge_shards(root, array, shares)

    write_description(root, facts, read_results(shares))
    for name in list_computed(shares):
        merge_stream(root, name, shares)


def read_results(shares: Sequence[FoundShare]) -> Iterator[tuple[DecodingResult, dict[str, str]]]:
    """Yield the result of decoding each recording, at its position in the merged store."""
    for share in shares:
        length = share.plan.shard_clips
        for row in read_rows(share.root):
            result = DecodingResult.from_dict(row.outcome)
            if result.record is not None:
                record = result.record
                number = share.plan.first + record.shard * length + record.place
                moved = {"shard": number // length, "place": number % length}
                record = ClipRecord.from_row(record.to_row() | moved)
                result = DecodingResult.from_dict(row.outcome | {"record": record.to_row()})
            yield result, row.report


def merge_shards(root: Path, name: str, shares: Sequence[FoundShare]) -> None:
    """Write the shards of an array that decoding gives, if there is such an array."""
    length, pieces = shares[0].plan.shard_clips, []
    for share in shares:
        for number, file in enumerate(find_shards(share.root / name)):
            first = share.plan.first + number * length
            pieces.append(Piece(first, min(first + length, share.plan.last), file))
    if not pieces:
        return

    (root / name).mkdir(parents=True)
    clips = shares[0].plan.clips
    for number, first in enumerate(range(0, clips, length)):
        join_pieces(pieces, first, min(first + length, clips), locate_shard(root, name, number))


def join_pieces(pieces: Sequence[Piece], first: int, last: int, target: Path) -> None:
    """Write an array of the items from ``first`` to before ``last``, by a link where that does."""
    own = [piece for piece in pieces if piece.last > first and piece.first < last]
    if [(piece.first, piece.last) for piece in own] == [(first, last)]:
        link_file(own[0].file, target)
        return

    arrays = [np.load(piece.file, mmap_mode="r") for piece in own]
    like = np.load(pieces[0].file, mmap_mode="r")
    joined = np.lib.format.open_memmap(target, "w+", like.dtype, (last - first, *like.shape[1:]))
    for piece, array in zip(own, arrays, strict=True):
        start, end = max(first, piece.first), min(last, piece.last)
        copy_items(array[start - piece.first : end - piece.first], joined[start - first :])
    joined.flush()


def copy_items(source: np.ndarray, target: np.ndarray) -> None:
    """Copy items to the beginning of an array, some at a time."""
    step = max(1, CHUNK_BYTES // max(1, source[:1].nbytes))
    for start in range(0, len(source), step):
        some = source[start : start + step]
        target[start : start + len(some)] = some


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name or, where a file system does not allow it, copy it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def merge_stream(root: Path, name: str, shares: Sequence[FoundShare]) -> None:
    """Write a computed stream of all shares into a store that has all else."""
    having = [share for share in shares if name in share.store.computed]
    one = having[0].store.computed[name]
    store, folder = Store(root), root / f"{name}.partial"
    folder.mkdir()
    chunks = split_into_chunks(store, one.stream.modality)
    steps = np.concatenate([_count_steps(share, name, one) for share in shares])
    # Where the items of a clip lie among those of all: of a ragged stream, items are steps.
    edges = np.concatenate([[0], np.cumsum(steps if one.is_ragged else np.ones_like(steps))])
    pieces = list(_list_pieces(folder, name, shares, one, edges))
    for chunk in chunks:
        first, last = edges[[chunk.first, chunk.last]].tolist()
        join_pieces(pieces, first, last, folder / f"{chunk.name}.npy")
    for piece in pieces:
        if piece.file.parent == folder / "lacking":
            shutil.rmtree(folder / "lacking")
            break

    if one.stream.kind != "vector":
        width = np.load(one.folder / MOMENTS_FILE, mmap_mode="r").shape[1]
        moments = np.lib.format.open_memmap(
            folder / MOMENTS_FILE, "w+", np.float64, (len(store), width)
        )
        for share in having:
            rows = np.load(share.root / name / MOMENTS_FILE, mmap_mode="r")
            copy_items(rows, moments[share.first_row :])
        moments.flush()
    if (one.folder / WEIGHTS_FILE).exists():
        link_file(one.folder / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    stream = dict(one.description["stream"])
    if one.is_ragged:
        np.save(folder / LENGTHS_FILE, steps)
        shape = list(stream["shape"])
        shape[bool(one.stream.layers)] = int(steps.max())
        stream["shape"] = shape

    described = one.description | {
        "stream": stream,
        "clips": len(store),
        "firsts": [chunk.first for chunk in chunks],
        "checksums": {file.name: hash_file(file) for file in sorted(folder.iterdir())},
    }
    (folder / STREAM_FILE).write_text(json.dumps(described, indent=1), encoding="utf-8")
    os.replace(folder, root / name)


def _count_steps(share: FoundShare, name: str, one: ComputedStream) -> np.ndarray:
    """True steps of the clips of a share; none where it has no such stream."""
    if name in share.store.computed:
        return np.asarray(share.store.computed[name].steps, np.int64)
    return np.zeros(len(share.store), np.int64)


def _list_pieces(
    folder: Path, name: str, shares: Sequence[FoundShare], one: ComputedStream, edges: np.ndarray
) -> Iterator[Piece]:
    """Yield the files of a stream, with the positions of their items among those of all shares.

    A share without the stream, none of whose clips has anything to encode, gets a file of zeros.
    """
    for share in shares:
        rows = [share.first_row, share.first_row + len(share.store)]
        if name in share.store.computed:
            firsts = (share.store.computed[name].firsts + share.first_row).tolist()
            rows = [*firsts, rows[1]]
            files = find_shards(share.root / name)
        else:
            (folder / "lacking").mkdir(exist_ok=True)
            files = [folder / "lacking" / f"{share.plan.number}.npy"]
            first, last = edges[rows].tolist()
            np.save(files[0], np.zeros((last - first, *one.array(0).shape[1:]), one.stream.dtype))
        for file, start, end in zip(files, rows[:-1], rows[1:], strict=True):
            first, last = edges[[start, end]].tolist()
            yield Piece(first, last, file)
