"""What became of one recording."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from avfusion.corpora import Recording
from avfusion.corpora.spelling import legible
from avfusion.data.store import BOX, CROP, PICTURE, WINDOW
from avfusion.features import ClipFeatures
from avfusion.features.clip import NEXT_NOTE
from avfusion.features.extent import count_pictures
from avfusion.features.mfcc import SAMPLE_RATE


@dataclass
class Outcome:
    """What became of one recording; ``index`` is empty where it was skipped."""

    index: dict[str, Any]
    reason: str = ""
    detail: str = ""

    def report(self, recording: Recording) -> dict[str, str]:
        """Return the row of the report."""
        return {
            "clip_id": recording.clip_id,
            "outcome": "kept" if self.index else "skipped",
            "reason": self.reason,
            "detail": self.detail,
            "source": " ".join(map(legible, recording.sources)),
        }


def index_row(recording: Recording, clip: ClipFeatures, shard: int, place: int) -> dict[str, Any]:
    """Return a clip's row of the index."""
    return {
        "clip_id": recording.clip_id,
        "label": recording.label,
        "subject": recording.subject,
        "split": recording.split,
        "shard": shard,
        "place": place,
        **dict(zip(WINDOW, seconds(recording.window), strict=True)),
        "seconds": clip.seconds,
        "samples": len(clip.sound),
        "frames": len(clip.audio),
        "has_face": int(clip.has_face),
        "has_audio": int(clip.has_audio),
        "pictures": count_pictures(recording),
        "note": clip.note,
        **dict(zip(BOX, map(plain, clip.box or [""] * 4), strict=True)),
        **dict(zip(CROP, map(plain, clip.crop or [""] * 4), strict=True)),
        **dict(zip(PICTURE, clip.picture_size or ("", ""), strict=True)),
        "face_source": legible(recording.sources[0]) if clip.has_face else "",
        "audio_source": legible(recording.sources[-1]) if clip.has_audio else "",
        "face_digest": digest(clip.face) if clip.has_face else "",
        "audio_digest": digest(clip.sound) if clip.has_audio else "",
    }


def kinds_of(note: str) -> list[str]:
    """Return the kinds of the notes of a clip, without what is different in each clip."""
    return list(dict.fromkeys(one.partition(": ")[0] for one in note.split(NEXT_NOTE) if one))


def seconds(window: tuple[int, int] | None) -> tuple[float | str, float | str]:
    """Return where a window begins and ends, nothing for a recording that is not cut."""
    return ("", "") if window is None else (window[0] / SAMPLE_RATE, window[1] / SAMPLE_RATE)


def plain(number: Any) -> float | str:
    """Return a number as JSON holds it."""
    return number if number == "" else float(number)


def digest(array: np.ndarray) -> str:
    """Return sixteen digits that are the same for the same decoded content."""
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]
