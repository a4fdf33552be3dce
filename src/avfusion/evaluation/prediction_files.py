"""Predictions as files, for people and programs to read, and inputs that failed."""

import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avfusion.data.store import Store
from avfusion.evaluation.file_names import name_files
from avfusion.evaluation.inference import Answer
from avfusion.figures.clip import clip_figure, clip_view
from avfusion.figures.predictions import timeline_figure
from avfusion.figures.style import save_figure
from avfusion.preparation.description import open_table
from avfusion.preparation.shards import REPORT_COLUMNS
from avfusion.targets import Target


def write_answers(
    folder: Path,
    answers: Sequence[Answer],
    target: Target,
    form: str = "png",
) -> Path:
    """Write a row per recording as CSV and JSON, and a time line for each that was cut.

    ``form`` is that of its figure, see ``avfusion.figures.style``.
    """
    said, cut = by_recording(answers)
    open_table = [as_row(answer, target) for answer in said]
    (folder / "predictions.json").write_text(json.dumps(open_table, indent=1), encoding="utf-8")
    path = folder / "predictions.csv"
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "label", "predicted", *target.output_names, "note"])
        for row in open_table:
            cells = (row["clip_id"], row["label"], row["predicted"])
            writer.writerow([*cells, *numbers(row[target.quantities]), row["note"]])
    # Last, since figures take long and may fail.
    for stem, windows in zip(name_files(list(cut)), cut.values(), strict=True):
        rows = [as_row(window, target) for window in windows]
        write_timeline(folder / "timelines" / f"{stem}.{form}", rows, windows, target)
    return path


def by_recording(answers: Sequence[Answer]) -> tuple[list[Answer], dict[str, list[Answer]]]:
    """Return an answer per recording, and the windows of those that were cut, by clip id."""
    cut = defaultdict(list)
    for answer in answers:
        if answer.clip.window is not None:
            cut[whole_of(answer)].append(answer)
    whole = {whole_of(answer): answer for answer in answers}
    said = [averaged(name, cut[name]) if name in cut else answer for name, answer in whole.items()]
    return said, dict(cut)


def as_row(answer: Answer, target: Target) -> dict[str, Any]:
    """Return an answer as plain data."""
    known = answer.prediction
    return {
        "clip_id": answer.clip.clip_id,
        "label": answer.clip.label_text,
        "predicted": "" if known is None else target.decide(known).label,
        target.quantities: dict.fromkeys(target.output_names)
        if known is None
        else dict(zip(target.output_names, known.tolist(), strict=True)),
        "note": answer.note,
    }


def numbers(predicted: Mapping[str, float | None]) -> list[str]:
    """Return predictions as cells, empty where there is no answer."""
    return ["" if value is None else f"{value:.6f}" for value in predicted.values()]


def whole_of(answer: Answer) -> str:
    """Return the id of the recording that a clip is, or is a window of."""
    name = answer.clip.clip_id
    return name if answer.clip.window is None else name.rpartition(" @ ")[0]


def averaged(name: str, windows: Sequence[Answer]) -> Answer:
    """Return the mean answer of a recording's windows."""
    known = [window.prediction for window in windows if window.prediction is not None]
    clip = replace(windows[0].clip, clip_id=name)
    notes = sorted({window.note for window in windows} - {""})
    answered = "" if len(known) == len(windows) else f"{len(known)} of "
    note = ", ".join([f"mean of {answered}{len(windows)} windows", *notes])
    mean = torch.stack(known).mean(dim=0) if known else None
    return windows[0]._replace(clip=clip, prediction=mean, note=note)


def write_timeline(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    windows: Sequence[Answer],
    target: Target,
) -> None:
    """Draw the answers over time, and write them beside the figure as CSV."""
    path.parent.mkdir(exist_ok=True)
    times = [window.clip.window for window in windows if window.clip.window is not None]
    open_table = path.with_suffix(".csv")
    with open_table.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(["start_s", "end_s", "predicted", *target.output_names, "note"])
        for (start, end), row in zip(times, rows, strict=True):
            cells = (f"{start:.3f}", f"{end:.3f}", row["predicted"])
            writer.writerow([*cells, *numbers(row[target.quantities]), row["note"]])
    middles = [(start + end) / 2 for start, end in times]
    gap = torch.full((target.outputs,), torch.nan)
    known = [gap if w.prediction is None else w.prediction for w in windows]
    save_figure(timeline_figure(middles, torch.stack(known), target), path)


def write_figures(
    folder: Path, store: Store, answers: Sequence[Answer], target: Target, form: str = "png"
) -> None:
    """Draw each clip as the network saw it, in a format of ``avfusion.figures.style``."""
    folder.mkdir(exist_ok=True)
    stems = name_files([answer.clip.clip_id for answer in answers])
    for answer, stem in zip(answers, stems, strict=True):
        if answer.prediction is None:
            continue
        view = clip_view(store, answer.row, answer.prediction, answer.glimpses, target)
        save_figure(clip_figure(view), folder / f"{stem}.{form}")


def bad_recordings(store: Store, answers: Sequence[Answer], folder: Path) -> str:
    """Write the report of recordings, and say how many have no answer; nothing if all have."""
    unanswered = {a.clip.clip_id: a.note for a in answers if a.prediction is None}
    with (store.root / "report.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if row["clip_id"] in unanswered:
            row |= {"outcome": "not answered", "reason": unanswered[row["clip_id"]]}
    with open_table(folder / "report.csv", REPORT_COLUMNS) as report:
        report.writerows(rows)
    answered = {row["source"] for row in rows if row["outcome"] == "kept"}
    bad = len({row["source"] for row in rows} - answered)
    return (
        f"{bad} recordings cannot be used, the reasons are in {folder}/report.csv." if bad else ""
    )


def bad_clips(answers: Sequence[Answer], folder: Path) -> str:
    """Say how many clips of a store have no answer; nothing if all have."""
    bad = sum(answer.prediction is None for answer in answers)
    return f"{bad} clips are not answered, the reasons are in {folder}/predictions.csv." * (bad > 0)
