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
from avfusion.data.store import MOMENTS_FOLDER, locate_shard
from avfusion.features import ClipFeatures, Features, Unreadable
from avfusion.features.clip import NOTE_SEPARATOR
from avfusion.features.fingerprints import fingerprint_picture
from avfusion.files import atomic_write
from avfusion.preparation.statistics import Moments, list_standardized
from avfusion.preparation.watchdog import record_current_clip, watch_decoder

REPORT_COLUMNS = ("clip_id", "outcome", "reason", "detail", "source")


@dataclass(frozen=True)
class DecodingResult:
    """Result of decoding one recording: a clip that is kept, or the reason why it is skipped.

    ``sound`` and ``picture`` are fingerprints in hexadecimal digits, empty where there is none.
    """

    record: ClipRecord | None
    reason: str = ""
    detail: str = ""
    sound: str = ""
    picture: str = ""

    def to_report_row(self, recording: Recording) -> dict[str, str]:
        """Row of the report, under the names of ``REPORT_COLUMNS``."""
        return {
            "clip_id": recording.clip_id,
            "outcome": "skipped" if self.record is None else "kept",
            "reason": self.reason,
            "detail": self.detail,
            "source": " ".join(map(escape_surrogates, recording.sources)),
        }

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON keeps exactly."""
        return vars(self) | {"record": None if self.record is None else self.record.to_row()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DecodingResult":
        """Restore a result from the values of ``to_dict``."""
        row = values["record"]
        record = None if row is None else ClipRecord.from_row(row)
        return cls(**{**values, "record": record})


def list_note_kinds(note: str) -> list[str]:
    """Kinds of the notes of a clip, without what is different in each clip."""
    return list(dict.fromkeys(one.partition(": ")[0] for one in note.split(NOTE_SEPARATOR) if one))


CRASHED = "crashes or hangs its decoder"
# Names in the result file of a chunk; earlier preparations have written them, too.
RESULTS_KEY = "outcomes"
LENGTHS_PREFIX = "lengths/"


class Chunk(NamedTuple):
    """Recordings whose features go to a shard, one after the other from position ``first`` on.

    Their results are kept in ``journals``; those in ``crashed`` are not touched.
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
    def result_file(self) -> Path:
        """The file that is there once its recordings are decoded."""
        return self.journals / f"{self.name}.npz"

    @property
    def journal(self) -> Path:
        """The file that is there once its features are in the shards."""
        return self.journals / f"{self.name}.json"


def decode_chunk(chunk: Chunk) -> None:
    """Decode the recordings; write the features of those that can be used, and the results of all.

    They go to a file of this chunk alone; ``copy_into_shards`` copies them from there.
    """
    streams = chunk.features.streams
    values: dict[str, list[np.ndarray]] = {name: [] for name in streams}
    moments: dict[str, list[np.ndarray]] = {name: [] for name in list_standardized(streams)}
    results = []

    for position, recording in enumerate(chunk.recordings, chunk.first):
        try:
            clip = decode_with_watchdog(chunk, recording)
        except Unreadable as error:
            if chunk.on_error == "raise" or error.fatal:
                raise ValueError(f"Clip {recording.clip_id} cannot be used: {error}.") from error
            results.append(DecodingResult(None, error.reason, str(error)))
            continue
        for name, array in chunk.features.values(clip).items():
            values[name].append(array)
            if name in moments:
                table = array.reshape(-1, array.shape[-1])
                is_there = clip.has_face if streams[name].modality == "face" else clip.has_audio
                moments[name].append(Moments.of(table if is_there else table[:0]).pack())
        record = ClipRecord.of(recording, clip, chunk.shard, position)
        sound, picture = clip.fingerprint or b"", fingerprint_middle(recording, clip) or b""
        results.append(DecodingResult(record, clip.note, "", sound.hex(), picture.hex()))

    write_chunk(chunk, results, values, moments)


def write_chunk(
    chunk: Chunk,
    results: list[DecodingResult],
    values: Mapping[str, list[np.ndarray]],
    moments: Mapping[str, list[np.ndarray]],
) -> None:
    """Write the result file of a chunk, whole or not at all; of a stream, its true steps alone."""
    text = json.dumps([result.to_dict() for result in results])
    arrays = {RESULTS_KEY: np.frombuffer(text.encode(), np.uint8)}
    for name, clips in values.items():
        if clips:
            arrays[name] = np.concatenate(clips)
            arrays[f"{LENGTHS_PREFIX}{name}"] = np.array([len(clip) for clip in clips])
    arrays |= {f"{MOMENTS_FOLDER}/{name}": np.stack(rows) for name, rows in moments.items() if rows}
    with atomic_write(chunk.result_file, concurrent=True) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def copy_into_shards(chunk: Chunk) -> None:
    """Copy the features of a chunk into the shards, and write its journal.

    Only the process that holds the lock of the store does, so that on no file system two machines
    write into one page of a file.
    """
    with np.load(chunk.result_file) as known:
        results = [
            DecodingResult.from_dict(one) for one in json.loads(known[RESULTS_KEY].tobytes())
        ]
        positions = [one.record.place for one in results if one.record is not None]
        for name in chunk.features.streams if positions else ():
            array = np.load(locate_shard(chunk.root, name, chunk.shard), "r+")
            values, start = known[name], 0
            for position, length in zip(
                positions, known[f"{LENGTHS_PREFIX}{name}"].tolist(), strict=True
            ):
                array[position, :length] = values[start : start + length]
                start += length
            array.flush()
            if f"{MOMENTS_FOLDER}/{name}" in known:
                moments = np.load(
                    locate_shard(chunk.root, f"{MOMENTS_FOLDER}/{name}", chunk.shard), "r+"
                )
                moments[positions] = known[f"{MOMENTS_FOLDER}/{name}"]
                moments.flush()

    write_journal(chunk, results)
    chunk.result_file.unlink()


def fingerprint_middle(recording: Recording, clip: ClipFeatures) -> bytes | None:
    """Fingerprint the middle one of a clip's pictures, if it has any.

    Archives of pictures by the thousand are corpora of their own, whose faults are known.
    """
    if not clip.has_face or recording.archive_index is not None:
        return None
    return fingerprint_picture(clip.face[len(clip.face) // 2])


def decode_with_watchdog(chunk: Chunk, recording: Recording) -> ClipFeatures:
    """Decode a recording; should it end this process, a file names it."""
    if recording.clip_id in chunk.crashed:
        raise Unreadable(CRASHED, recording.sources[0])
    with (
        record_current_clip(chunk.journal.with_suffix(".now"), recording),
        watch_decoder(recording),
    ):
        return decode_recording(chunk.features, recording)


def decode_recording(features: Features, recording: Recording) -> ClipFeatures:
    """Decode a recording.

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


def write_journal(chunk: Chunk, results: list[DecodingResult]) -> None:
    """Write the journal of a chunk, whole or not at all."""
    content = [result.to_dict() for result in results]
    with atomic_write(chunk.journal, concurrent=True) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def read_journal(chunk: Chunk) -> list[DecodingResult]:
    """Read the results of a chunk's recordings from its journal."""
    content = json.loads(chunk.journal.read_text(encoding="utf-8"))
    return [DecodingResult.from_dict(result) for result in content]
