"""The figures of a page."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from avfusion.evaluation.aggregate import Row
from avfusion.evaluation.predictions import Predictions
from avfusion.evaluation.runs import Run
from avfusion.figures.clip import Peak, clip_figure, clip_view
from avfusion.figures.curves import (
    draw_chart,
    find_best_step,
    group_charts,
    lines_figure,
    read_curves,
)
from avfusion.figures.predictions import comparison_figure
from avfusion.figures.style import add_unit, get_line_style
from avfusion.report.sources import Sources
from avfusion.report.views import view_of


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
    answers = [Plate("answers", *drawn) for drawn in view_of(predictions).figures(predictions)]
    return plates + answers + example_plates(sources, examples)


def curve_plates(run: Run) -> list[Plate]:
    """Return the curves of a run."""
    curves = read_curves(run.folder)
    monitor = str(run.config.get("monitor", ""))
    best = find_best_step(curves, monitor)
    dots = "" if best is None else f"; the dotted line is the best {monitor}"
    return [
        Plate(
            "curves",
            title.replace(" ", "_"),
            f"{title}{dots}",
            draw_chart(curves, names, title, best),
        )
        for title, names in group_charts(curves).items()
    ]


def example_plates(sources: Sources, each: int) -> list[Plate]:
    """Return examples of clips, where their store is at hand."""
    predictions, store = sources.predictions, sources.store
    if store is None:
        return []
    each_predicted, plates = predictions.predict(), []
    for group, places in view_of(predictions).examples(predictions, each).items():
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
            (row.name, values, get_line_style(number))
            for number, row in enumerate(rows)
            for run in row.runs
            if (values := read_curves(run.folder).get(monitor))
        ]
        if lines:
            figure = lines_figure(lines)
            figure.axes[0].set_ylabel(add_unit(monitor))
            caption = f"{monitor} of each run, in the colour of its setting."
            plates.append(Plate("curves", monitor.replace("/", "_"), caption, figure))
    return plates
