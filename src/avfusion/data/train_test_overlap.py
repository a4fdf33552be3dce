"""Overlap of test clips with what a network was trained on, where a score would show memory."""

import hashlib
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64, UInt64

from avfusion.corpora.spelling import normalize_name
from avfusion.data.index import DIGESTS, Codes
from avfusion.data.splits import Splits
from avfusion.data.store import Store
from avfusion.messages import join_items, pluralize

log = logging.getLogger(__name__)
Digests = Mapping[str, str]  # of subjects and of recordings, each joined by blanks
NOUNS = {"subjects": "subject", "recordings": "recording"}


def digest_training_clips(store: Store, training: Bool[np.ndarray, "clips"]) -> dict[str, str]:
    """Digests of the training clips: of equal length, and without any name."""
    clips = store.columns("subject", "face_digest", "audio_digest")
    subjects = Codes.of(clips["subject"]).counts(training).keys() - {""}
    contents = [_select_known(clips[column], training)[1] for column in DIGESTS]
    return {
        "subjects": encode_digests([digest_subject(name) for name in subjects]),
        "recordings": encode_digests(np.concatenate(contents)),
    }


def encode_digests(digests: Sequence[int] | UInt64[np.ndarray, "digests"]) -> str:
    """Digests in order, each once, as one string: a list would be slow to check and load."""
    ordered = np.sort(np.asarray(digests, np.uint64))  # np.unique takes ten times as long
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first].astype(">u8").tobytes().hex(" ", 8)


def decode_digests(digests: str) -> UInt64[np.ndarray, "digests"]:
    """Digests of such a string."""
    return np.frombuffer(bytes.fromhex(digests), ">u8").astype(np.uint64)


def merge_digests(one: Digests, other: Digests) -> dict[str, str]:
    """Digests of two trainings, one of which went on from the other."""
    return {
        kind: encode_digests(decode_digests(f"{one[kind]} {other.get(kind, '')}")) for kind in one
    }


def digest_subject(name: str) -> int:
    """Digest of a subject, the same for all spellings that look alike."""
    return int.from_bytes(hashlib.sha256(normalize_name(name).encode()).digest()[:8])


def find_overlap(
    digests: Digests, store: Store, selected: Bool[np.ndarray, "clips"]
) -> dict[str, list[str]]:
    """Subjects of some clips, and the ids of those clips, that were trained on."""
    clips = store.columns("clip_id", "subject", "face_digest", "audio_digest")
    subjects, known = Codes.of(clips["subject"]), set(decode_digests(digests["subjects"]).tolist())
    spelled: dict[str, str] = {}
    for name in subjects.in_order(selected):
        if digest_subject(name) in known:
            spelled.setdefault(normalize_name(name), name)  # the first spelling stays

    trained = decode_digests(digests["recordings"])
    seen = np.zeros(len(store), bool)
    for column in DIGESTS:
        rows, contents = _select_known(clips[column], selected)
        seen[rows[_is_in_sorted(contents, trained)]] = True

    return {
        "subjects_seen_in_training": sorted(spelled.values()),
        "recordings_seen_in_training": clips["clip_id"].filter(pa.array(seen)).to_pylist(),
    }


def _is_in_sorted(
    values: UInt64[np.ndarray, "values"], ordered: UInt64[np.ndarray, "ordered"]
) -> Bool[np.ndarray, "values"]:
    """Mask the values that are among some sorted ones."""
    indices = np.searchsorted(ordered, values)
    inside = indices < len(ordered)
    inside[inside] = ordered[indices[inside]] == values[inside]
    return inside


def _select_known(
    column: pa.ChunkedArray, selected: Bool[np.ndarray, "clips"]
) -> tuple[Int64[np.ndarray, "known"], UInt64[np.ndarray, "known"]]:
    """Rows of some clips where a column has a digest, and these digests."""
    there = column.is_valid().to_numpy() & selected
    return np.flatnonzero(there), column.filter(pa.array(there)).to_numpy()


def check_overlap(
    file: Path,
    recipe: Mapping[str, Any],
    store: Store,
    splits: Splits,
    names: Collection[str],
    allowed: Collection[str],
) -> dict[str, list[str]]:
    """Find what a checkpoint was trained on of splits, and refuse it where it is not allowed.

    Where store and split plan are its own, it is that plan which keeps the promise.
    """
    own = recipe["description"]
    same_store = own.get("checksums") == store.description["checksums"]
    if same_store and own.get("splits") == splits.record:
        return {}
    if recipe.get("trained_on") is None:
        log.warning("%s does not say what it was trained on: some of it may be tested on.", file)
        return {}

    seen = find_overlap(recipe["trained_on"], store, splits.where(*names))

    for name, found in seen.items():
        if found and name not in allowed:
            raise ValueError(
                f"{file} was trained on {pluralize(len(found), NOUNS[name.partition('_')[0]])} of "
                f"the {' and '.join(names)} split of {store.address} ({join_items(found)}), so a "
                f"test would score memory: choose other clips, or set allow_{name}=true (such as "
                "where other people have the same names), which every result then records."
            )

    return seen
