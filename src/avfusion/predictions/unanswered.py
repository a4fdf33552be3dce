"""What a network could not answer for."""

import csv
from collections.abc import Sequence
from pathlib import Path

from avfusion.data.finish import table
from avfusion.data.outcome import REPORT
from avfusion.data.store import Store
from avfusion.predictions.answers import Answer


def bad_recordings(store: Store, answers: Sequence[Answer], folder: Path) -> str:
    """Write the report of recordings, and say how many have no answer; nothing if all have."""
    unanswered = {a.clip.clip_id: a.note for a in answers if a.probabilities is None}
    with (store.root / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["clip_id"] in unanswered:
            row |= {"outcome": "not answered", "reason": unanswered[row["clip_id"]]}
    with table(folder / "report.csv", REPORT) as report:
        report.writerows(rows)
    answered = {row["source"] for row in rows if row["outcome"] == "kept"}
    bad = len({row["source"] for row in rows} - answered)
    return (
        f"{bad} recordings cannot be used, the reasons are in {folder}/report.csv." if bad else ""
    )


def bad_clips(answers: Sequence[Answer], folder: Path) -> str:
    """Say how many clips of a store have no answer; nothing if all have."""
    bad = sum(answer.probabilities is None for answer in answers)
    return f"{bad} clips are not answered, the reasons are in {folder}/predictions.csv." * (bad > 0)
