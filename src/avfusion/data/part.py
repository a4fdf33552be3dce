"""Some clips of a store, written by one process into the place that is kept for them."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from avfusion.corpora import Recording
from avfusion.data.outcome import Outcome
from avfusion.data.record import ClipRecord
from avfusion.data.statistics import Moments, standardized
from avfusion.data.store import MOMENTS, shard_file
from avfusion.data.watch import named, watched
from avfusion.features import ClipFeatures, Features, Unreadable

CRASHED = "crashes or hangs its decoder"


class Part(NamedTuple):
    """Recordings whose features go to a shard, one after the other from place ``first`` on.

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
    def journal(self) -> Path:
        """The file that is there once this part is written."""
        return self.journals / f"{self.shard:05d}_{self.first:08d}.json"


def write_part(part: Part) -> None:
    """Decode the recordings, write the features of those that can be used, and the journal."""
    streams = part.features.streams
    arrays = {name: np.load(shard_file(part.root, name, part.shard), "r+") for name in streams}
    moments = {
        name: np.load(shard_file(part.root, f"{MOMENTS}/{name}", part.shard), "r+")
        for name in standardized(streams)
    }
    outcomes = []
    for place, recording in enumerate(part.recordings, part.first):
        try:
            clip = decoded(part, recording)
        except Unreadable as error:
            if part.on_error == "raise" or error.fatal:
                raise ValueError(f"Clip {recording.clip_id} cannot be used: {error}.") from error
            outcomes.append(Outcome(None, error.reason, str(error)))
            continue
        for name, values in part.features.values(clip).items():
            arrays[name][place, : len(values)] = values
            if name in moments:
                table = values.reshape(-1, values.shape[-1])
                is_there = clip.has_face if streams[name].modality == "face" else clip.has_audio
                moments[name][place] = Moments.of(table if is_there else table[:0]).pack()
        outcomes.append(Outcome(ClipRecord.of(recording, clip, part.shard, place), clip.note))
    for array in (*arrays.values(), *moments.values()):
        array.flush()
    keep(part, outcomes)


def decoded(part: Part, recording: Recording) -> ClipFeatures:
    """Return the features of one recording; should it end this process, its name is left."""
    if recording.clip_id in part.crashed:
        raise Unreadable(CRASHED, recording.sources[0])
    with named(part.journal.with_suffix(".now"), recording), watched(recording):
        return decode(part.features, recording)


def decode(features: Features, recording: Recording) -> ClipFeatures:
    """Return the features of one recording.

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


def keep(part: Part, outcomes: list[Outcome]) -> None:
    """Write the journal of a part, whole or not at all."""
    content = [outcome.plain() for outcome in outcomes]
    partial = part.journal.with_suffix(f".{os.getpid()}")
    partial.write_text(json.dumps(content), encoding="utf-8")
    os.replace(partial, part.journal)


def kept(part: Part) -> list[Outcome]:
    """Read the journal of a part: what became of its recordings."""
    content = json.loads(part.journal.read_text(encoding="utf-8"))
    return [Outcome.from_plain(outcome) for outcome in content]
