"""Near-duplicates: clips that are probably copies, though not the same bytes.

Sounds that are the same but for gain and for the silence around them, and pictures of clips of
several subjects that are the same but for size, brightness and compression. They are found as a
store is written, and listed in its near_duplicates.csv. A fingerprint proves nothing: they are
suspected, and refuse no splits.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64, UInt64

from avfusion.corpora.recording import SPLITS
from avfusion.corpora.spelling import normalize_name
from avfusion.data.index import Codes, Index, to_numpy
from avfusion.data.splits import LEFT_OUT, Splits
from avfusion.data.store import Store
from avfusion.files import open_csv, read_csv
from avfusion.messages import join_items, pluralize

FILE_NAME = "near_duplicates.csv"
COLUMNS = ("kind", "clip_id", "other", "differing_bits")
MAX_DIFFERING = 15  # bits of 256; of 1,440 voices of RAVDESS, two takes of a sentence differ in 40
NEIGHBORS = 32  # that are compared among equal parts of fingerprints; more are of no content
WORDS, PARTS = 4, 8  # of a fingerprint, of 64 and of 32 bits
SENTENCES = {
    "sound": "probably have the same sound, but for gain and silence",
    "picture": "of several subjects probably have the same picture",
}


class NearDuplicates(NamedTuple):
    """Two clips that are probably copies; ``kind`` is ``sound`` or ``picture``."""

    kind: str
    clip_id: str
    other: str
    differing_bits: int


class Fingerprints:
    """The fingerprints of one kind that clips of a store have, in the order of its index."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.bits = bytearray()

    def add(self, row: int, digits: str) -> None:
        """Add that of a clip, in hexadecimal digits, if it has one."""
        if digits:
            self.rows.append(row)
            self.bits += bytes.fromhex(digits)

    def find_pairs(self) -> tuple[Int64[np.ndarray, "pairs 2"], Int64[np.ndarray, "pairs"]]:
        """Find the rows of clips whose fingerprints differ in few bits, and in how many."""
        words = np.frombuffer(bytes(self.bits), np.uint64).reshape(-1, WORDS)
        pairs, differing = find_close_pairs(words)
        return np.array(self.rows, np.int64)[pairs], differing


def find_close_pairs(
    words: UInt64[np.ndarray, "clips 4"],
) -> tuple[Int64[np.ndarray, "pairs 2"], Int64[np.ndarray, "pairs"]]:
    """Find fingerprints that differ in at most ``MAX_DIFFERING`` bits, the first one first.

    Those have one of their eight parts in common, surely with seven bits, in nearly all cases with
    more; so equal parts are sorted beside each other, and neighbors compared. A million clips take
    seconds.
    """
    parts = words.view(np.uint32).reshape(-1, PARTS)
    found: dict[tuple[int, int], int] = {}
    for number in range(PARTS):
        order = np.argsort(parts[:, number], kind="stable")
        part = parts[order, number]
        for step in range(1, NEIGHBORS + 1):
            equal = np.flatnonzero(part[step:] == part[:-step])
            if not len(equal):
                break
            one, other = order[equal], order[equal + step]
            bits = np.bitwise_count(words[one] ^ words[other]).sum(axis=1)
            close = bits <= MAX_DIFFERING
            keys = zip(one[close].tolist(), other[close].tolist(), strict=True)
            found.update(zip(keys, bits[close].tolist(), strict=True))

    pairs = np.array(sorted(found), np.int64).reshape(-1, 2)
    return pairs, np.array([found[pair] for pair in sorted(found)], np.int64)


def find_near_duplicates(
    index: Index, sounds: Fingerprints, pictures: Fingerprints
) -> list[NearDuplicates]:
    """Find the clips of a store that are probably copies, and not the same bytes.

    Pictures of one subject are alike by nature.
    """
    clips = index.columns("clip_id", "subject", "audio_digest", "face_digest")
    subjects = Codes.of(clips["subject"])
    people = np.array([normalize_name(name) for name in subjects.names])[subjects.numbers]
    found = []
    for kind, fingerprints in (("sound", sounds), ("picture", pictures)):
        pairs, differing = fingerprints.find_pairs()
        digests = to_numpy(clips["audio_digest" if kind == "sound" else "face_digest"])
        same_bytes = digests[pairs[:, 0]] == digests[pairs[:, 1]]
        same_person = (people[pairs[:, 0]] == people[pairs[:, 1]]) & (people[pairs[:, 0]] != "")
        kept = ~same_bytes & ~(same_person & (kind == "picture"))
        names = [clips["clip_id"].take(pairs[kept, side]).to_pylist() for side in (0, 1)]
        rows = zip(*names, differing[kept].tolist(), strict=True)
        found += [NearDuplicates(kind, *row) for row in rows]

    return found


def write_near_duplicates(root: Path, found: Sequence[NearDuplicates]) -> None:
    """List near-duplicates in the folder of a store, where there are any."""
    if found:
        with open_csv(root / FILE_NAME, COLUMNS) as writer:
            writer.writerows(one._asdict() for one in found)


def describe_near_duplicates(store: Store, splits: Splits | None = None) -> list[str]:
    """Sentences about the near-duplicates of a store, or those in different splits of a plan.

    A store of an earlier version lists none.
    """
    if not store.files.find(FILE_NAME):
        return []
    file = store.file(FILE_NAME)
    pairs = [(row["kind"], row["clip_id"], row["other"]) for row in read_csv(file)]
    if splits is not None:
        split_names = _find_splits(store, splits, [clip for _, *two in pairs for clip in two])
        pairs = [
            (kind, f"{one} ({split_names[one]})", f"{other} ({split_names[other]})")
            for kind, one, other in pairs
            if one in split_names
            and other in split_names
            and split_names[one] != split_names[other]
        ]

    where, sentences = " in different splits" if splits else "", []
    for kind, verb in SENTENCES.items():
        shown = [" = ".join(two) for one, *two in pairs if one == kind]
        if shown:
            sentences.append(
                f"{pluralize(len(shown), 'pair')} of clips{where} {verb}: {join_items(shown, 5)}. "
                f"Look at them; {file} lists all."
            )
    return sentences


def _find_splits(store: Store, splits: Splits, clips: Sequence[str]) -> dict[str, str]:
    """Name the split of some clips; those that are left out have none."""
    ids = store.columns("clip_id")["clip_id"]
    rows = np.flatnonzero(pc.is_in(ids, pa.array(clips, pa.string())).to_numpy())
    names = zip(ids.take(rows).to_pylist(), splits.numbers[rows].tolist(), strict=True)
    return {clip: SPLITS[number] for clip, number in names if number != LEFT_OUT}
