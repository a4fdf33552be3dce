"""Shards of a store: clips that one process decodes and writes into the rows kept for them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avfusion.corpora import Recording
from avfusion.corpora.spelling import escape_surrogates
from avfusion.data.index import ClipRecord
from avfusion.data.store import MOMENTS, shard_file
from avfusion.features import ClipFeatures, Features, Unreadable
from avfusion.features.clip import NOTE_SEPARATOR
from avfusion.features.fingerprints import fingerprint_picture
from avfusion.files import atomic_write
from avfusion.preparation.statistics import Moments, list_standardized
from avfusion.preparation.watchdog import mark_current, watch_decoder

REPORT_COLUMNS = ("clip_id", "outcome", "reason", "detail", "source")


@dataclass(frozen=True)
class Outcome:
    """What became of one recording: kept as a clip, or skipped for a reason.

    Of a clip there are fingerprints, in hexadecimal digits, empty where it has none.
    """

    record: ClipRecord | None
    reason: str = ""
    detail: str = ""
    sound: str = ""
    picture: str = ""

    def report(self, recording: Recording) -> dict[str, str]:
        """Row of the report, under the names of ``REPORT_COLUMNS``."""
        return {
            "clip_id": recording.clip_id,
            "outcome": "skipped" if self.record is None else "kept",
            "reason": self.reason,
            "detail": self.detail,
            "source": " ".join(map(escape_surrogates, recording.sources)),
        }

    def plain(self) -> dict[str, Any]:
        """Plain values, which JSON keeps exactly."""
        return vars(self) | {"record": None if self.record is None else self.record.to_row()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Outcome":
        """Outcome from its plain values."""
        row = values["record"]
        record = None if row is None else ClipRecord.from_row(row)
        return cls(**{**values, "record": record})


def list_note_kinds(note: str) -> list[str]:
    """Kinds of the notes of a clip, without what is different in each clip."""
    return list(dict.fromkeys(one.partition(": ")[0] for one in note.split(NOTE_SEPARATOR) if one))


CRASHED = "crashes or hangs its decoder"
# Names in the file of a part.
OUTCOMES = "outcomes"
LENGTHS = "lengths/"


class Part(NamedTuple):
    """Recordings whose features go to a shard, one after the other from position ``first`` on.

    What became of them is kept in ``journals``; those in ``crashed`` are not touched.
    """

    root: Path
    journals: Path
    shard: int
    first: int
    recordings: list[Recording]
    features: Features
    on_error: str
    crashed: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.shard:05d}_{self.first:08d}"

    @property
    def file(self) -> Path:
        """The file that is there once its recordings are decoded."""
        return self.journals / f"{self.name}.npz"

    @property
    def journal(self) -> Path:
        """The file that is there once its features are in the shards."""
        return self.journals / f"{self.name}.json"


def write_part(part: Part) -> None:
    """Decode the recordings; write the features of those that can be used, and what became of all.

    They go to a file of this part alone, from which ``take_in`` copies them into the shards.
    """
    streams = part.features.streams
    values: dict[str, list[np.ndarray]] = {name: [] for name in streams}
    moments: dict[str, list[np.ndarray]] = {name: [] for name in list_standardized(streams)}
    outcomes = []

    for position, recording in enumerate(part.recordings, part.first):
        try:
            clip = decode_watched(part, recording)
        except Unreadable as error:
            if part.on_error == "raise" or error.fatal:
                raise ValueError(f"Clip {recording.clip_id} cannot be used: {error}.") from error
            outcomes.append(Outcome(None, error.reason, str(error)))
            continue
        for name, array in part.features.values(clip).items():
            values[name].append(array)
            if name in moments:
                table = array.reshape(-1, array.shape[-1])
                is_there = clip.has_face if streams[name].modality == "face" else clip.has_audio
                moments[name].append(Moments.of(table if is_there else table[:0]).pack())
        record = ClipRecord.of(recording, clip, part.shard, position)
        sound, picture = clip.fingerprint or b"", fingerprint_middle(recording, clip) or b""
        outcomes.append(Outcome(record, clip.note, "", sound.hex(), picture.hex()))

    write_result(part, outcomes, values, moments)


def write_result(
    part: Part,
    outcomes: list[Outcome],
    values: Mapping[str, list[np.ndarray]],
    moments: Mapping[str, list[np.ndarray]],
) -> None:
    """Write what is known of a part, whole or not at all; of a stream, its true steps alone."""
    text = json.dumps([outcome.plain() for outcome in outcomes])
    arrays = {OUTCOMES: np.frombuffer(text.encode(), np.uint8)}
    for name, clips in values.items():
        if clips:
            arrays[name] = np.concatenate(clips)
            arrays[f"{LENGTHS}{name}"] = np.array([len(clip) for clip in clips])
    arrays |= {f"{MOMENTS}/{name}": np.stack(rows) for name, rows in moments.items() if rows}
    with atomic_write(part.file, concurrent=True) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def take_in(part: Part) -> None:
    """Copy what was written of a part into the shards, and write its journal.

    Only who holds the lock of the store does, so that on no file system two machines write into
    one page of a file.
    """
    with np.load(part.file) as known:
        outcomes = [Outcome.from_plain(one) for one in json.loads(known[OUTCOMES].tobytes())]
        positions = [one.record.place for one in outcomes if one.record is not None]
        for name in part.features.streams if positions else ():
            array = np.load(shard_file(part.root, name, part.shard), "r+")
            values, start = known[name], 0
            for position, length in zip(positions, known[f"{LENGTHS}{name}"].tolist(), strict=True):
                array[position, :length] = values[start : start + length]
                start += length
            array.flush()
            if f"{MOMENTS}/{name}" in known:
                moments = np.load(shard_file(part.root, f"{MOMENTS}/{name}", part.shard), "r+")
                moments[positions] = known[f"{MOMENTS}/{name}"]
                moments.flush()

    write_journal(part, outcomes)
    part.file.unlink()


def fingerprint_middle(recording: Recording, clip: ClipFeatures) -> bytes | None:
    """Fingerprint the middle one of a clip's pictures, if it has any.

    Archives of pictures by the thousand are corpora of their own, whose faults are known.
    """
    if not clip.has_face or recording.archive_index is not None:
        return None
    return fingerprint_picture(clip.face[len(clip.face) // 2])


def decode_watched(part: Part, recording: Recording) -> ClipFeatures:
    """Features of one recording; should it end this process, its name is left."""
    if recording.clip_id in part.crashed:
        raise Unreadable(CRASHED, recording.sources[0])
    with mark_current(part.journal.with_suffix(".now"), recording), watch_decoder(recording):
        return decode(part.features, recording)


def decode(features: Features, recording: Recording) -> ClipFeatures:
    """Features of one recording.

    Raises:
        Unreadable: where that is not possible, whatever the reason.
    """
    for path in recording.sources:
        if not path.exists():
            raise Unreadable("no such file", path)

    try:
        return features(recording)
    except Unreadable:
        raise
    except Exception as error:  # whatever it is, it must not end a long preparation
        raise Unreadable("cannot be processed", recording.sources[0], repr(error)) from error


def write_journal(part: Part, outcomes: list[Outcome]) -> None:
    """Write the journal of a part, whole or not at all."""
    content = [outcome.plain() for outcome in outcomes]
    with atomic_write(part.journal, concurrent=True) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def read_journal(part: Part) -> list[Outcome]:
    """Read the journal of a part: what became of its recordings."""
    content = json.loads(part.journal.read_text(encoding="utf-8"))
    return [Outcome.from_plain(outcome) for outcome in content]
