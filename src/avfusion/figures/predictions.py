"""Figures of predictions: time lines, confusions, batches, and comparisons of runs."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from avfusion.data.batch import Clips
from avfusion.evaluation.aggregate import Row
from avfusion.evaluation.leak_marks import mark_leaks
from avfusion.evaluation.pooled_scores import PooledRow
from avfusion.evaluation.subject_bootstrap import SCORES
from avfusion.figures.style import COLORMAP, COLORS, add_unit, get_line_style
from avfusion.targets import Target

MAX_NAME_LENGTH = 44  # characters of a setting's name
MAX_CELLS_WITH_NUMBERS = 20  # classes whose confusions are written out
LABEL_BOX = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1}


def timeline_figure(
    times: Sequence[float], predictions: Float[Tensor, "windows outputs"], target: Target
) -> Figure:
    """Draw predictions over time, a line for each class; ``times`` are middles of windows, in s."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(target.output_names):
        axes.plot(
            times,
            predictions[:, number].numpy(),
            marker=".",  # a window between two without a prediction is a point
            markersize=3,
            label=name,
            **get_line_style(number),
        )

    axes.set(xlabel="time (s)", ylabel=target.quantity)
    if target.limits is not None:
        axes.set_ylim(target.limits)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))

    return figure


def comparison_figure(rows: Sequence[Row]) -> Figure:
    """Draw each setting's runs, their mean and its 95 % interval, a panel per metric.

    Data leakage is marked beside the name and the mean of a setting, and explained below.
    """
    metrics = list(rows[0].scores)
    marks, footnotes = mark_leaks([row.leaks for row in rows])
    named = zip(rows, marks, strict=True)
    names = [textwrap.fill(f"{row.name} {mark}".strip(), MAX_NAME_LENGTH) for row, mark in named]
    lines = max(name.count("\n") + 1 for name in names)
    height = max(0.35, 0.18 * lines) * len(rows) + 1.2
    figure = Figure(figsize=(3.5 + 3 * len(metrics), height), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]

    for axes, metric in zip(panels, metrics, strict=True):
        for position, row in enumerate(rows):
            score = row.scores[metric]
            runs = [position] * len(score.values)
            axes.plot(score.values, runs, "o", color=COLORS[5], markersize=4, zorder=1)
            interval = [score.interval] if math.isfinite(score.interval) else None
            axes.errorbar(
                [score.mean],
                [position],
                xerr=interval,
                fmt="|",
                color=COLORS[0],
                capsize=3,
                zorder=2,
            )
            if marks[position] and score.values:
                axes.annotate(
                    marks[position],
                    (score.mean, position),
                    (0, 5),
                    textcoords="offset points",
                    ha="center",
                )
        axes.set_xlabel(add_unit(metric))
        axes.locator_params(axis="x", nbins=5)  # more numbers of four digits would touch
        axes.grid(axis="x")

    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)  # the first one above
    if footnotes:
        letters = round(11 * figure.get_figwidth())
        text = "\n".join(textwrap.fill(note, letters) for note in footnotes)
        figure.supxlabel(text, fontsize=8, x=0.01, ha="left")

    return figure


def confusion_figure(counts: Int64[np.ndarray, "true predicted"], names: Sequence[str]) -> Figure:
    """Draw how many clips of each class were taken for which, and the part of their class."""
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    classes, many = len(names), len(names) > MAX_CELLS_WITH_NUMBERS
    side = 1.6 + (4.5 if many else 0.42 * classes)
    figure = Figure(figsize=(2 * side + 0.8, side), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    titles = ("clips", "part of the true class")

    for axes, values, title in zip(panels, (counts, parts), titles, strict=True):
        most = max(values.max(), 1) if values is counts else 1
        image = axes.imshow(values, cmap=COLORMAP, vmin=0, vmax=most)
        axes.set_title(title)
        axes.set_xlabel("predicted class")
        axes.set_xticks(range(classes), names, rotation=90)
        figure.colorbar(image, ax=axes, shrink=0.8)
        for (true, predicted), value in [] if many else np.ndenumerate(values):
            color = "black" if value > 0.6 * most else "white"
            text = f"{value:.2f}".removeprefix("0") if values is parts else str(value)
            number = axes.text(predicted, true, text, ha="center", va="center", fontsize=7)
            number.set(color=color, in_layout=False)  # to lay them out takes a third of drawing

    panels[0].set_ylabel("true class")
    panels[0].set_yticks(range(classes), names)

    return figure


def pooled_figure(rows: Sequence[PooledRow]) -> Figure:
    """Draw UAR and WAR of each setting over all clips, with 95 % intervals over subjects.

    Data leakage is marked beside the name of a setting, and explained below.
    """
    titles = SCORES[:2]
    figure = Figure(
        figsize=(3.5 + 3 * len(titles), max(0.35 * len(rows), 0.6) + 1.2), layout="constrained"
    )
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for axes, title in zip(panels, titles, strict=True):
        for position, row in enumerate(rows):
            score = row.scores[title]
            ends = [[score.value - score.low], [score.high - score.value]]
            color = COLORS[1] if row.pooled.predictor == "baseline" else COLORS[0]
            known = np.isfinite(ends).all()
            axes.errorbar(
                [score.value],
                [position],
                xerr=np.maximum(ends, 0) if known else None,
                fmt="s" if row.pooled.predictor == "baseline" else "o",
                color=color,
                capsize=3,
                markersize=4,
            )
        axes.set_xlabel(f"{title} over all clips")
        axes.grid(axis="x")

    marks, footnotes = mark_leaks([row.pooled.leaks for row in rows])
    named = zip(rows, marks, strict=True)
    names = [textwrap.fill(f"{row.name} {mark}".strip(), MAX_NAME_LENGTH) for row, mark in named]
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)  # the first one above
    _write_beneath(figure, footnotes)

    return figure


def _write_beneath(figure: Figure, footnotes: Sequence[str]) -> None:
    """Write footnotes in lines as wide as a figure."""
    if footnotes:
        letters = round(11 * figure.get_figwidth())
        text = "\n".join(textwrap.fill(note, letters) for note in footnotes)
        figure.supxlabel(text, fontsize=8, x=0.01, ha="left")


def batch_figure(
    pictures: Float[Tensor, "batch pictures 3 height width"],
    audio: Float[Tensor, "batch frames features"],
    clips: Clips,
    target: Target,
) -> Figure:
    """Draw the first picture and the audio frames of clips as a network sees them."""
    columns = math.ceil(len(clips.label) ** 0.5)
    rows = math.ceil(len(clips.label) / columns)
    figure = Figure(figsize=(1.2 * columns * 2 + 0.4, 1.2 * rows + 0.4), layout="constrained")
    panels = figure.subplots(1, 2)
    faces = pictures[:, 0].permute(0, 2, 3, 1)
    flat = audio.flatten(0, 1)
    heard = ((audio - flat.mean(dim=0)) / flat.std(dim=0).clamp(min=1e-6)).transpose(1, 2)
    panels[0].imshow(tile_pictures(faces, columns).clamp(0, 1).numpy())
    panels[1].imshow(
        tile_pictures(heard.flip(1)[..., None], columns)[..., 0].numpy(),
        cmap=COLORMAP,
        vmin=-3,
        vmax=3,
    )

    for number, (label, box) in enumerate(zip(clips.label, clips.box, strict=True)):
        height, width = faces.shape[1:3]
        corner = torch.tensor([number % columns * width, number // columns * height])
        sides = box * torch.tensor([width, height] * 2) + corner.repeat(2)
        name_clip(panels[0], target.decode(label), corner.tolist(), sides.tolist())

    panels[0].set_title("face")
    panels[1].set_title("audio frames: features over time")
    panels[1].set_aspect("auto")

    for axes, (high, wide) in zip(panels, (faces.shape[1:3], heard.shape[1:]), strict=True):
        axes.set_axis_off()
        for number in range(1, columns):  # as many rows, or one less
            axes.axvline(number * wide - 0.5, color="white", linewidth=1)
            axes.axhline(min(number, rows) * high - 0.5, color="white", linewidth=1)

    return figure


def name_clip(axes: Axes, name: str, corner: Sequence[float], box: Sequence[float]) -> None:
    """Write a clip's class into the corner of its picture and draw its box, all in pixels."""
    left, top, right, bottom = box
    patch = Rectangle((left, top), right - left, bottom - top, fill=False, color="white")
    axes.add_patch(patch)
    axes.text(corner[0] + 3, corner[1] + 3, name, fontsize=7, va="top", bbox=LABEL_BOX)


def tile_pictures(pictures: Float[Tensor, "count height width channels"], columns: int) -> Tensor:
    """Lay pictures side by side in rows."""
    count, height, width, channels = pictures.shape
    rows = math.ceil(count / columns)
    missing = pictures.new_zeros(rows * columns - count, height, width, channels)
    grid = torch.cat([pictures, missing]).view(rows, columns, height, width, channels)
    return grid.permute(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
