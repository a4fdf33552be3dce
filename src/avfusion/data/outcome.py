"""What became of one recording."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avfusion.corpora import Recording
from avfusion.corpora.spelling import legible
from avfusion.data.record import ClipRecord
from avfusion.features.clip import NEXT_NOTE

REPORT = ("clip_id", "outcome", "reason", "detail", "source")


@dataclass(frozen=True)
class Outcome:
    """What became of one recording: kept as a clip, or skipped for a reason."""

    record: ClipRecord | None
    reason: str = ""
    detail: str = ""

    def report(self, recording: Recording) -> dict[str, str]:
        """Return the row of the report, under the names of ``REPORT``."""
        return {
            "clip_id": recording.clip_id,
            "outcome": "skipped" if self.record is None else "kept",
            "reason": self.reason,
            "detail": self.detail,
            "source": " ".join(map(legible, recording.sources)),
        }

    def plain(self) -> dict[str, Any]:
        """Return plain values, which JSON keeps exactly."""
        return vars(self) | {"record": None if self.record is None else self.record.to_row()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Outcome":
        """Return an outcome from its plain values."""
        row = values["record"]
        record = None if row is None else ClipRecord.from_row(row)
        return cls(record, values["reason"], values["detail"])


def kinds_of(note: str) -> list[str]:
    """Return the kinds of the notes of a clip, without what is different in each clip."""
    return list(dict.fromkeys(one.partition(": ")[0] for one in note.split(NEXT_NOTE) if one))
