"""Predictions as CSV files and figures, and inputs that failed."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avfusion.data.store import REPORT_FILE, Store
from avfusion.evaluation.file_names import name_files
from avfusion.evaluation.inference import ClipPrediction
from avfusion.figures.clip import clip_figure, clip_view
from avfusion.figures.predictions import timeline_figure
from avfusion.figures.style import save_figure
from avfusion.files import read_csv, write_csv
from avfusion.preparation.shards import REPORT_COLUMNS
from avfusion.targets import Target


def write_predictions(
    folder: Path,
    predictions: Sequence[ClipPrediction],
    target: Target,
    figure_format: str = "png",
) -> Path:
    """Write predictions.csv and predictions.json, a row per recording, and time lines.

    A recording that was cut into windows gets the mean of their predictions, and a time line of
    them as a figure of the format ``figure_format`` (see ``avfusion.figures.style``).
    """
    recordings, windows = group_by_recording(predictions)
    rows = [to_row(prediction, target) for prediction in recordings]
    (folder / "predictions.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")

    cells = (
        [
            *(row["clip_id"], row["label"], row["predicted"]),
            *_format_values(row[target.quantities]),
            row["note"],
        ]
        for row in rows
    )
    header = ["clip_id", "label", "predicted", *target.output_names, "note"]
    path = write_csv(folder / "predictions.csv", header, cells)

    # Last, since figures take long and may fail.
    for stem, cut in zip(name_files(list(windows)), windows.values(), strict=True):
        rows = [to_row(window, target) for window in cut]
        write_timeline(folder / "timelines" / f"{stem}.{figure_format}", rows, cut, target)

    return path


def group_by_recording(
    predictions: Sequence[ClipPrediction],
) -> tuple[list[ClipPrediction], dict[str, list[ClipPrediction]]]:
    """Average the windows of each recording.

    The first part of the result has a prediction per recording, the second the windows of those
    recordings that were cut, by clip id.
    """
    windows = defaultdict(list)
    for prediction in predictions:
        if prediction.clip.window is not None:
            windows[_recording_id(prediction)].append(prediction)

    last = {_recording_id(prediction): prediction for prediction in predictions}
    recordings = [
        average_windows(name, windows[name]) if name in windows else prediction
        for name, prediction in last.items()
    ]
    return recordings, dict(windows)


def to_row(prediction: ClipPrediction, target: Target) -> dict[str, Any]:
    """Convert a prediction to plain data."""
    values = prediction.values
    return {
        "clip_id": prediction.clip.clip_id,
        "label": prediction.clip.label_text,
        "predicted": "" if values is None else target.decide(values).label,
        target.quantities: dict.fromkeys(target.output_names)
        if values is None
        else dict(zip(target.output_names, values.tolist(), strict=True)),
        "note": prediction.note,
    }


def _format_values(values: Mapping[str, float | None]) -> list[str]:
    return ["" if value is None else f"{value:.6f}" for value in values.values()]


def _recording_id(prediction: ClipPrediction) -> str:
    """Id of the recording that a clip is, or is a window of."""
    name = prediction.clip.clip_id
    return name if prediction.clip.window is None else name.rpartition(" @ ")[0]


def average_windows(name: str, windows: Sequence[ClipPrediction]) -> ClipPrediction:
    """Average the predictions of a recording's windows, and note how many there are."""
    known = [window.values for window in windows if window.values is not None]
    mean = torch.stack(known).mean(dim=0) if known else None

    clip = replace(windows[0].clip, clip_id=name)
    notes = sorted({window.note for window in windows} - {""})
    part = "" if len(known) == len(windows) else f"{len(known)} of "
    note = ", ".join([f"mean of {part}{len(windows)} windows", *notes])
    return windows[0]._replace(clip=clip, values=mean, note=note)


def write_timeline(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    windows: Sequence[ClipPrediction],
    target: Target,
) -> None:
    """Draw predictions over time, and write them beside the figure as CSV."""
    path.parent.mkdir(exist_ok=True)
    times = [window.clip.window for window in windows if window.clip.window is not None]
    cells = (
        [
            *(f"{start:.3f}", f"{end:.3f}", row["predicted"]),
            *_format_values(row[target.quantities]),
            row["note"],
        ]
        for (start, end), row in zip(times, rows, strict=True)
    )
    header = ["start_s", "end_s", "predicted", *target.output_names, "note"]
    write_csv(path.with_suffix(".csv"), header, cells)

    middles = [(start + end) / 2 for start, end in times]
    gap = torch.full((target.outputs,), torch.nan)
    known = [gap if w.values is None else w.values for w in windows]
    save_figure(timeline_figure(middles, torch.stack(known), target), path)


def write_figures(
    folder: Path,
    store: Store,
    predictions: Sequence[ClipPrediction],
    target: Target,
    figure_format: str = "png",
) -> None:
    """Draw each clip as the network saw it, in a format of ``avfusion.figures.style``."""
    folder.mkdir(exist_ok=True)
    stems = name_files([prediction.clip.clip_id for prediction in predictions])
    for prediction, stem in zip(predictions, stems, strict=True):
        if prediction.values is None:
            continue

        view = clip_view(store, prediction.row, prediction.values, prediction.glimpses, target)
        save_figure(clip_figure(view), folder / f"{stem}.{figure_format}")


def report_failed_recordings(
    store: Store, predictions: Sequence[ClipPrediction], folder: Path
) -> str:
    """Write report.csv about recordings, and count those without a prediction in a sentence.

    The sentence is empty where there are none.
    """
    failed = {p.clip.clip_id: p.note for p in predictions if p.values is None}
    rows = read_csv(store.file(REPORT_FILE))
    for row in rows:
        if row["clip_id"] in failed:
            row |= {"outcome": "no prediction", "reason": failed[row["clip_id"]]}
    write_csv(
        folder / "report.csv",
        REPORT_COLUMNS,
        ([row[name] for name in REPORT_COLUMNS] for row in rows),
    )

    predicted = {row["source"] for row in rows if row["outcome"] == "kept"}
    count = len({row["source"] for row in rows} - predicted)
    if not count:
        return ""
    return (
        f"{count} recording{'s' * (count > 1)} cannot be used; the reasons are in "
        f"{folder}/report.csv."
    )


def report_failed_clips(predictions: Sequence[ClipPrediction], folder: Path) -> str:
    """Count the clips of a store without a prediction in a sentence, empty where there are none."""
    count = sum(prediction.values is None for prediction in predictions)
    if not count:
        return ""
    return (
        f"{count} clip{'s have' if count > 1 else ' has'} no prediction; the reasons are in "
        f"{folder}/predictions.csv."
    )
