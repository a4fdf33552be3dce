"""Predictions as a table for the terminal."""

import os
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

from avfusion.evaluation.inference import ClipPrediction
from avfusion.targets import Target

MAX_ROWS = 20  # recordings
MAX_SEGMENTS = 10  # of a time line


def format_predictions(
    recordings: Sequence[ClipPrediction],
    windows: Mapping[str, Sequence[ClipPrediction]],
    target: Target,
) -> str:
    """Format a line per recording: its prediction, how sure it is, the runner-up, and notes.

    A recording that was cut into ``windows``, by clip id, is followed by its predictions over time.
    The first recordings are shown, the others counted.
    """
    shown = recordings[:MAX_ROWS]
    names = _shorten_names([prediction.clip.clip_id for prediction in shown])
    labeled = any(prediction.clip.label_text for prediction in shown)
    noted = any(prediction.note for prediction in shown)

    header = ["recording", *(["true"] if labeled else []), *target.columns]
    rows: list[list[str] | str] = [[*header, *(["note"] if noted else [])]]
    for prediction, name in zip(shown, names, strict=True):
        label = [prediction.clip.label_text or "-"] if labeled else []
        note = [prediction.note] if noted else []
        rows.append([name, *label, *_describe(prediction, target), *note])
        if cut := windows.get(prediction.clip.clip_id):
            rows += format_segments(cut, target)

    lines = _align_columns(rows)
    rest = len(recordings) - len(shown)
    if rest:
        lines.append(f"... and {rest:,} more recording{'s' if rest > 1 else ''}")
    return "\n".join(lines)


def _describe(prediction: ClipPrediction, target: Target) -> list[str]:
    if prediction.values is None:
        return ["-"] * len(target.columns)
    return target.describe(prediction.values)


def format_segments(windows: Sequence[ClipPrediction], target: Target) -> list[str]:
    """Format a line for each segment of a recording in which the prediction stays the same.

    One prediction gives way to the next halfway between the middles of their windows.
    """
    times = [window.clip.window for window in windows if window.clip.window is not None]
    middles = [(start + end) / 2 for start, end in times]
    edges = [times[0].start, *(sum(pair) / 2 for pair in pairwise(middles)), times[-1].end]

    labels = [
        "-" if values is None else target.decide(values).label or "none"
        for values in (window.values for window in windows)
    ]
    lines, first = [], 0
    for label, group in groupby(labels):
        count = len(list(group))
        lines.append(f"  {edges[first]:.1f} to {edges[first + count]:.1f} s: {label}")
        first += count

    rest = len(lines) - MAX_SEGMENTS
    return lines if rest < 1 else [*lines[:MAX_SEGMENTS], f"  ... and {rest} more changes"]


def _shorten_names(clip_ids: Sequence[str]) -> list[str]:
    """Remove the folder that all ids have in common."""
    folders = {os.path.dirname(clip_id) for clip_id in clip_ids}
    try:
        common = os.path.commonpath(folders) if all(folders) else ""
    except ValueError:  # some paths are absolute, others are not
        common = ""

    return [os.path.relpath(name, common) if common else name for name in clip_ids]


def _align_columns(rows: Sequence[Sequence[str] | str]) -> list[str]:
    """Pad cells to columns; a text among the rows is a line of its own."""
    cells = [row for row in rows if not isinstance(row, str)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        row
        if isinstance(row, str)
        else "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
