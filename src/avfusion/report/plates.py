"""The figures of a page."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure

from avfusion.comparison.records import Run
from avfusion.comparison.rows import Row
from avfusion.figures.answers import comparison_figure, confusion_figure
from avfusion.figures.clip import clip_figure
from avfusion.figures.clip_view import Peak, clip_view
from avfusion.figures.curves import best_step, chart, charts, lines_figure, read_curves
from avfusion.figures.style import line_style, with_unit
from avfusion.predictions.archive import Predictions
from avfusion.report.scores import count_confusions
from avfusion.report.sources import Sources


class Plate(NamedTuple):
    """A figure with the section that it belongs to, the name of its file, and what it shows."""

    group: str
    name: str
    caption: str
    figure: Figure


def run_plates(run: Run, sources: Sources | None, examples: int) -> list[Plate]:
    """Return the figures of a run; without predictions only what it has logged."""
    plates = curve_plates(run)
    if sources is None:
        return plates
    predictions = sources.predictions
    if predictions.target.exclusive:
        figure = confusion_figure(count_confusions(predictions), predictions.class_names)
        caption = (
            f"What the {len(predictions)} clips of the {predictions.split} split are taken for."
        )
        plates.append(Plate("confusion", "confusion", caption, figure))
    return plates + example_plates(sources, examples)


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


def draw_examples(predictions: Predictions, each: int) -> dict[str, list[int]]:
    """Draw places of clips that are predicted rightly and wrongly by lot, always the same ones."""
    drawn = {}
    for group, those in (("right", predictions.right), ("wrong", ~predictions.right)):
        places = np.flatnonzero(those)
        lot = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:each]
        drawn[group] = places[lot.numpy()].tolist()
    return drawn


def example_plates(sources: Sources, each: int) -> list[Plate]:
    """Return clips that are predicted rightly and wrongly, where their store is at hand."""
    predictions, store = sources.predictions, sources.store
    if store is None:
        return []
    each_predicted, plates = predictions.predict(), []
    for group, places in draw_examples(predictions, each).items():
        for number, place in enumerate(places, start=1):
            row = int(predictions.rows[place])
            view = clip_view(store, row, each_predicted[place], None, predictions.target)
            view = view._replace(peaks=peaks_of(predictions, place))
            who = f"{predictions.clip_ids[place]}, subject {predictions.subjects[place]}"
            plates.append(
                Plate(group, f"{group}_{number}", f"{who}: {view.answer}", clip_figure(view))
            )
    return plates


def peaks_of(predictions: Predictions, place: int) -> list[Peak]:
    """Return where each glimpse of a clip is largest, in fractions of the picture."""
    if predictions.glimpses is None:
        return []
    _, rows, columns = predictions.glimpses.map_shape.tolist()
    found = zip(
        predictions.glimpses.peaks[place].tolist(),
        predictions.glimpses.peak_weights[place].tolist(),
        strict=True,
    )
    return [
        Peak(picture, (column / columns, row / rows, 1 / columns, 1 / rows), weight)
        for (picture, row, column), weight in found
    ]


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
