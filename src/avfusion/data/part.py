"""Some clips of a store, written by one process into the place that is kept for them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avfusion.corpora import Recording
from avfusion.data.statistics import Moments
from avfusion.data.store import BOX, CROP, shard_file
from avfusion.features import ClipFeatures, Features, Unreadable


class Part(NamedTuple):
    """Recordings whose features go to a shard, one after the other from place ``first`` on."""

    root: Path
    shard: int
    first: int
    recordings: list[Recording]
    features: Features
    on_error: str


@dataclass
class Outcome:
    """What became of one recording; ``index`` is empty where it was skipped."""

    recording: Recording
    index: dict[str, Any]
    reason: str = ""
    detail: str = ""

    def report(self) -> dict[str, str]:
        """Return the row of the report."""
        return {
            "clip_id": self.recording.clip_id,
            "outcome": "kept" if self.index else "skipped",
            "reason": self.reason,
            "detail": self.detail,
            "source": " ".join(map(str, self.recording.sources)),
        }


class Written(NamedTuple):
    """What became of the recordings of a part, and the moments of its training clips."""

    outcomes: list[Outcome]
    moments: dict[str, Moments]


def write_part(part: Part) -> Written:
    """Decode the recordings and write the features of those that can be used."""
    names = part.features.arrays(1)
    arrays = {name: np.load(shard_file(part.root, name, part.shard), "r+") for name in names}
    outcomes, training = [], []
    for place, recording in enumerate(part.recordings, part.first):
        try:
            clip = part.features(recording)
        except Unreadable as error:
            if part.on_error == "raise":
                raise ValueError(f"Clip {recording.clip_id} cannot be used: {error}.") from error
            outcomes.append(Outcome(recording, {}, error.reason, str(error)))
            continue
        for name, array in arrays.items():
            features = getattr(clip, name)
            array[place, : len(features)] = features
        outcomes.append(
            Outcome(recording, index_row(recording, clip, part.shard, place), clip.note)
        )
        if recording.split == "train":
            training.append((Moments.of(clip.face.reshape(-1, 3)), Moments.of(clip.audio)))
    faces, audios = zip(*training, strict=True) if training else ((), ())
    return Written(outcomes, {"face": Moments.sum(faces), "audio": Moments.sum(audios)})


def index_row(recording: Recording, clip: ClipFeatures, shard: int, place: int) -> dict[str, Any]:
    """Return a clip's row of the index."""
    return {
        "clip_id": recording.clip_id,
        "label": recording.label,
        "subject": recording.subject,
        "split": recording.split,
        "shard": shard,
        "place": place,
        "samples": len(clip.sound),
        "frames": len(clip.audio),
        "has_face": 1,
        "has_audio": 1,
        **dict(zip(BOX, clip.box or [""] * 4, strict=True)),
        **dict(zip(CROP, clip.crop, strict=True)),
        "face_source": recording.sources[0],
        "audio_source": recording.sources[-1],
    }
