"""The figures of a page."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from matplotlib.figure import Figure

from avfusion.comparison.records import Run
from avfusion.comparison.rows import Row
from avfusion.figures.answers import comparison_figure, confusion_figure
from avfusion.figures.clip import clip_figure
from avfusion.figures.clip_view import clip_view
from avfusion.figures.curves import best_step, chart, charts, lines_figure, read_curves
from avfusion.figures.style import line_style, with_unit
from avfusion.report.answers import Answers
from avfusion.report.scores import confusion


class Plate(NamedTuple):
    """A figure with the section that it belongs to, the name of its file, and what it shows."""

    group: str
    name: str
    caption: str
    figure: Figure


def run_plates(run: Run, answers: Answers | None, examples: int) -> list[Plate]:
    """Return the figures of a run; without answers only what it has logged."""
    plates = curve_plates(run)
    if answers is not None:
        figure = confusion_figure(confusion(answers).numpy(), answers.names)
        caption = f"What the {len(answers.each)} clips of the {answers.split} split are taken for."
        plates.append(Plate("confusion", "confusion", caption, figure))
        plates += example_plates(answers, examples)
    return plates


def curve_plates(run: Run) -> list[Plate]:
    """Return the curves of a run."""
    curves = read_curves(run.folder)
    monitor = str(run.config.get("monitor", ""))
    best = best_step(curves, monitor)
    dots = "" if best is None else f"; the dotted line is the best {monitor}"
    return [
        Plate(
            "curves", title.replace(" ", "_"), f"{title}{dots}", chart(curves, names, title, best)
        )
        for title, names in charts(curves).items()
    ]


def example_plates(answers: Answers, each: int) -> list[Plate]:
    """Return clips that were answered rightly and wrongly, drawn by lot, always the same ones."""
    right = answers.probabilities.argmax(dim=1) == answers.labels
    plates = []
    for group, those in (("right", right), ("wrong", ~right)):
        places = those.nonzero().flatten()
        lot = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:each]
        for number, place in enumerate(places[lot].tolist(), start=1):
            one = answers.each[place]
            view = clip_view(
                answers.store, one.row, one.probabilities, one.glimpses, answers.target
            )
            caption = f"{one.clip['clip_id']}, subject {one.clip['subject']}: {view.answer}"
            plates.append(Plate(group, f"{group}_{number}", caption, clip_figure(view)))
    return plates


def sweep_plates(rows: Sequence[Row]) -> list[Plate]:
    """Return the comparison of a sweep's settings, and how its runs were validated."""
    if not rows:
        return []
    caption = "Each run (dots), the mean over runs and, from three runs on, its 95 % interval."
    plates = [Plate("comparison", "comparison", caption, comparison_figure(rows))]
    monitors = {str(run.config["monitor"]) for row in rows for run in row.runs if run.config}
    for monitor in sorted(monitors):
        lines = [
            (row.name, values, line_style(number))
            for number, row in enumerate(rows)
            for run in row.runs
            if (values := read_curves(run.folder).get(monitor))
        ]
        if lines:
            figure = lines_figure(lines)
            figure.axes[0].set_ylabel(with_unit(monitor))
            caption = f"{monitor} of each run, in the colour of its setting."
            plates.append(Plate("curves", monitor.replace("/", "_"), caption, figure))
    return plates
