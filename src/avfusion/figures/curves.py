"""Curves of the metrics that a run has logged."""

import csv
import re
import textwrap
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avfusion.dashboard.scalar_layout import LAYOUT, split_chart
from avfusion.evaluation.runs import natural_key
from avfusion.figures.style import INK, get_line_style
from avfusion.training.metrics.catalog import is_higher_better, unit_of

Curves = Mapping[str, Mapping[int, float]]  # the values of each metric, by training step
MAX_LEGEND_LINES = 16  # that a legend names
MAX_LABEL_LENGTH = 36  # characters of a line of a legend
MAX_MARKED_POINTS = 40  # points of a line that are marked


def read_curves(folder: Path) -> Curves:
    """Read the curves of a run, from CSV, or else from TensorBoard's events; empty without either.

    A run that was continued has a file for each time; later ones count.
    """
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    for file in sorted(folder.glob("csv/**/metrics.csv"), key=natural_key):
        with file.open(newline="", encoding="utf-8", errors="replace") as lines:
            for row in csv.DictReader(lines):
                _add_row(curves, row)

    if not curves and any(folder.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        for name in events.Tags()["scalars"]:
            curves[name] = {event.step: event.value for event in events.Scalars(name)}

    return {name: dict(sorted(values.items())) for name, values in sorted(curves.items())}


def _add_row(curves: dict[str, dict[int, float]], row: Mapping[str, str]) -> None:
    """Keep the numbers of one line; the last one of a run that was killed may be cut."""
    try:
        numbers = {name: float(text) for name, text in row.items() if text}
    except (TypeError, ValueError):
        return

    for name, value in numbers.items():
        if name not in ("step", "epoch") and "step" in numbers:
            curves[name][int(numbers["step"])] = value


def group_charts(curves: Curves) -> dict[str, list[str]]:
    """Which metrics share a chart: as on TensorBoard, as far as they were logged."""
    layout = {title: chart for group in LAYOUT.values() for title, chart in group.items()}
    found: dict[str, list[str]] = {}
    for title, (_, patterns) in layout.items():
        names = [name for name in curves if any(re.search(p, name) for p in patterns)]
        found |= split_chart(title, names)
    return found


def find_best_step(curves: Curves, monitor: str) -> int | None:
    """Find the first step of the best value; None where nothing says which way is better."""
    values = {step: value for step, value in curves.get(monitor, {}).items() if value == value}
    higher = is_higher_better(monitor)
    if higher is None:
        return None
    choose = max if higher else min
    return choose(values, key=values.__getitem__, default=None)


def draw_chart(curves: Curves, names: Sequence[str], title: str, best: int | None = None) -> Figure:
    """Draw metrics over the steps of training, and when the best checkpoint was written.

    A metric has one color; its training line is broken where validation has one, too.
    """
    metrics = list(dict.fromkeys(name.partition("/")[2] for name in names))
    lines = []
    for name in names:
        stage, _, metric = name.partition("/")
        style = get_line_style(metrics.index(metric))
        broken = {"linestyle": "--"} if stage == "train" and f"val/{metric}" in names else {}
        lines.append((name, curves[name], style | broken))

    figure = lines_figure(lines)
    (axes,) = figure.axes
    unit = unit_of(names[0])
    axes.set(title=title, ylabel=unit or title)
    if unit.startswith("part"):
        axes.set_ylim(-0.02, 1.02)
    if best is not None:
        axes.axvline(best, color=INK, linestyle=":", linewidth=1)

    return figure


def lines_figure(lines: Sequence[tuple[str, Mapping[int, float], Mapping[str, Any]]]) -> Figure:
    """Draw lines over steps: the name, the values and the style of each; names stand once."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    axes = figure.add_subplot()
    named: set[str] = set()
    for name, values, style in lines:
        label = "_" if name in named else textwrap.fill(name, MAX_LABEL_LENGTH)
        named.add(name)
        marker = "." if len(values) < MAX_MARKED_POINTS else ""
        axes.plot(list(values), list(values.values()), label=label, marker=marker, **style)

    axes.set_xlabel("training step")
    axes.grid()
    if len(named) <= MAX_LEGEND_LINES:
        columns = 2 if max(map(len, named)) > MAX_LABEL_LENGTH / 2 else 3
        figure.legend(loc="outside lower center", ncols=columns)

    return figure
