"""Figures of a page: curves, the comparison of settings, and clips."""

import base64
import io
import re
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from avfusion.checkpoint import find_checkpoint, read_checkpoint
from avfusion.data.store import Store
from avfusion.evaluation.aggregate import Row
from avfusion.evaluation.pooled_scores import PooledRow, count_confusions, find_best_network
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
from avfusion.figures.layer_weights import layer_weights_figure
from avfusion.figures.predictions import comparison_figure, confusion_figure, pooled_figure
from avfusion.figures.style import INK, METADATA, add_unit, get_line_style
from avfusion.models.layers.layer_weights import list_layer_weights

# The colors of style.css, which an image does not see; it sees whether the page is dark.
INK_STYLE = (
    "<style>svg { color: #1b1f24 } "
    "@media screen and (prefers-color-scheme: dark) { svg { color: #e4e8ec } }</style>"
)


class PageFigure(NamedTuple):
    """A figure, the name of its file, and its caption; ``form`` is png for photographs."""

    name: str
    caption: str
    figure: Figure
    form: str = "svg"

    @property
    def source(self) -> str:
        """The figure as the address of an image."""
        file = io.BytesIO()
        if self.form == "png":
            self.figure.savefig(file, format="png", dpi=130)  # as wide as the page
            kind, content = "png", file.getvalue()
        else:
            self.figure.savefig(file, format="svg", transparent=True, metadata=METADATA["svg"])
            text = file.getvalue().decode().replace(INK, "currentColor")
            kind, content = "svg+xml", text.replace("</svg>", f"{INK_STYLE}</svg>").encode()

        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def name_file(title: str) -> str:
    """Name a file after a title, by its letters and numbers."""
    return "_".join(re.findall(r"\w+", title.lower()))


def draw_curves(run: Run) -> list[PageFigure]:
    """Draw what a run has logged, as TensorBoard groups it."""
    curves = read_curves(run.folder)
    monitor = str(run.config.get("monitor", ""))
    best = find_best_step(curves, monitor)
    dotted = "" if best is None else f"; the dotted line is the best {monitor}"

    return [
        PageFigure(name_file(title), title + dotted, draw_chart(curves, names, title, best))
        for title, names in group_charts(curves).items()
    ]


def draw_layer_weights(run: Run) -> list[PageFigure]:
    """Draw how much each layer of a stream counts; nothing where no stream has layers.

    The weights are those of the best checkpoint, where that is still there.
    """
    layers = (
        value
        for key, value in run.config.items()
        if key.startswith("description.streams.") and key.endswith(".layers")
    )
    if not any(layers):
        return []
    try:
        state = read_checkpoint(find_checkpoint(str(run.folder), "best"))["state_dict"]
    except (ValueError, OSError):
        return []

    return [
        PageFigure(
            name_file(f"layer weights {part}"),
            f"Weights of the layers that {part} reads, in the best checkpoint.",
            layer_weights_figure(weights),
        )
        for part, weights in list_layer_weights(state).items()
    ]


def draw_comparison(rows: Sequence[Row]) -> list[PageFigure]:
    """Draw the scores of the settings of a sweep; nothing where there is none."""
    if not rows:
        return []
    caption = "Each run (dots), the mean over runs and, from three runs on, its 95 % interval."
    return [PageFigure("comparison", caption, comparison_figure(rows))]


def draw_pooled(rows: Sequence[PooledRow]) -> list[PageFigure]:
    """Draw the scores of out-of-fold predictions, and the confusions of the best network."""
    if not rows:
        return []
    caption = "Over all clips, with 95 % intervals over subjects; squares are trivial baselines."
    figures = [PageFigure("pooled", caption, pooled_figure(rows))]
    best = find_best_network(rows)
    if best is not None:
        counts, names = count_confusions(best.pooled), best.pooled.output_names
        caption = f"Confusions of {best.name}, over all clips and seeds."
        figures.append(PageFigure("pooled_confusion", caption, confusion_figure(counts, names)))
    return figures


def draw_monitors(rows: Sequence[Row]) -> list[PageFigure]:
    """Draw what the runs of a sweep monitored, each metric in a figure."""
    runs = [
        (run, row.name, get_line_style(number))
        for number, row in enumerate(rows)
        for run in row.runs
    ]
    curves = {run.folder: read_curves(run.folder) for run, *_ in runs}

    figures = []
    for monitor in sorted({str(run.config["monitor"]) for run, *_ in runs if run.config}):
        lines = [
            (name, values, style)
            for run, name, style in runs
            if (values := curves[run.folder].get(monitor))
        ]
        if lines:
            figure = lines_figure(lines)
            figure.axes[0].set_ylabel(add_unit(monitor))
            caption = f"{monitor} of each run, in the color of its setting."
            figures.append(PageFigure(name_file(monitor), caption, figure))

    return figures


def draw_clip(
    name: str, caption: str, store: Store, predictions: Predictions, number: int
) -> PageFigure:
    """Draw a tested clip with the cells in which its glimpses are largest."""
    row, prediction = int(predictions.rows[number]), predictions.predict()[number]
    view = clip_view(store, row, prediction, None, predictions.target)
    figure = clip_figure(view._replace(peaks=_find_peaks(predictions, number)))
    return PageFigure(name, caption, figure, "png")


def _find_peaks(predictions: Predictions, number: int) -> list[Peak]:
    glimpses = predictions.glimpses
    if glimpses is None:
        return []
    _, rows, columns = glimpses.map_shape.tolist()
    if rows * columns == 1:  # steps of vectors, which have no position in a picture
        return []
    peaks, weights = glimpses.peaks[number].tolist(), glimpses.peak_weights[number].tolist()

    return [
        Peak(picture, (column / columns, row / rows, 1 / columns, 1 / rows), weight)
        for (picture, row, column), weight in zip(peaks, weights, strict=True)
    ]
