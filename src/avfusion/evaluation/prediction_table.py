"""Answers as a table that a person reads in a terminal."""

import os
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

from avfusion.evaluation.inference import Answer
from avfusion.targets import Target

MOST_ROWS = 20  # recordings
MOST_STRETCHES = 10  # of a time line


def describe_answers(
    recordings: Sequence[Answer],
    windows: Mapping[str, Sequence[Answer]],
    target: Target,
) -> str:
    """Return a line per recording: what is answered, how surely, what comes next, and notes.

    Of a recording that was cut into ``windows``, by clip id, the answers over time follow. Many
    recordings are counted once the first of them are shown.
    """
    shown = recordings[:MOST_ROWS]
    short = shorten_names([answer.clip.clip_id for answer in shown])
    labeled = any(answer.clip.label for answer in shown)
    noted = any(answer.note for answer in shown)
    head = ["recording", "true"] if labeled else ["recording"]
    head += target.columns
    rows: list[list[str] | str] = []
    for answer, name in zip(shown, short, strict=True):
        label = [answer.clip.label_text or "-"] if labeled else []
        rows.append([name, *label, *describe(answer, target), *([answer.note] if noted else [])])
        if cut := windows.get(answer.clip.clip_id):
            rows += describe_stretches(cut, target)
    lines = aligned([[*head, *(["note"] if noted else [])], *rows])
    rest = len(recordings) - len(shown)
    if rest:
        lines.append(f"... and {rest:,} more recording{'s' if rest > 1 else ''}")
    return "\n".join(lines)


def describe(answer: Answer, target: Target) -> list[str]:
    """Return the cells of an answer."""
    if answer.prediction is None:
        return ["-"] * len(target.columns)
    return target.describe(answer.prediction)


def describe_stretches(windows: Sequence[Answer], target: Target) -> list[str]:
    """Return a line for each stretch of a recording in which the answer stays the same.

    One answer gives way to the next halfway between the middles of their windows.
    """
    times = [window.clip.window for window in windows if window.clip.window is not None]
    middles = [(start + end) / 2 for start, end in times]
    edges = [times[0].start, *(sum(pair) / 2 for pair in pairwise(middles)), times[-1].end]
    said = [
        "-" if known is None else target.decide(known).label or "none"
        for known in (window.prediction for window in windows)
    ]
    lines, place = [], 0
    for label, group in groupby(said):
        count = len(list(group))
        lines.append(f"  {edges[place]:.1f} to {edges[place + count]:.1f} s: {label}")
        place += count
    rest = len(lines) - MOST_STRETCHES
    return lines if rest < 1 else [*lines[:MOST_STRETCHES], f"  ... and {rest} more changes"]


def shorten_names(clip_ids: Sequence[str]) -> list[str]:
    """Return ids without the folder that all of them lie in."""
    folders = {os.path.dirname(clip_id) for clip_id in clip_ids}
    try:
        common = os.path.commonpath(folders) if all(folders) else ""
    except ValueError:  # some paths are absolute, others are not
        common = ""
    return [os.path.relpath(name, common) if common else name for name in clip_ids]


def aligned(rows: Sequence[Sequence[str] | str]) -> list[str]:
    """Return lines whose cells stand in columns; a text among them is a line of its own."""
    cells = [row for row in rows if not isinstance(row, str)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        row
        if isinstance(row, str)
        else "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
