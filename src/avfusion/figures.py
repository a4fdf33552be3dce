"""Figures of clips and answers."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, Float32, UInt8
from matplotlib.figure import Figure
from torch import Tensor

from avfusion.comparison import Row

# Okabe and Ito, 2008: eight colours that the colour-blind tell apart, too.
COLOURS = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #F0E442 #000000".split()
HEAT = "cividis"  # a map of colours that the colour-blind see alike


def clip_figure(
    face: UInt8[Tensor, "pictures 3 height width"],
    frames: Float32[np.ndarray, "frames features"],
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None,
    title: str,
) -> Figure:
    """Draw a clip's pictures, each glimpse laid over them, and its cepstra over time."""
    maps = [] if glimpses is None else list(glimpses.float())
    columns = 1 + len(maps)
    figure = Figure(figsize=(2.4 * columns + 3.6, 2.2 * len(face) + 0.9), layout="constrained")
    figure.suptitle(title[-80:].replace("$", r"\$"), fontsize=9)
    grid = figure.add_gridspec(len(face), columns + 1, width_ratios=[1] * columns + [1.5])
    for row, picture in enumerate(face.permute(0, 2, 3, 1).numpy()):
        for column in range(columns):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(picture)
            axes.set_axis_off()
            if column:
                weights = maps[column - 1][row]
                heat = F.interpolate(weights[None, None], picture.shape[:2], mode="bilinear")[0, 0]
                image = axes.imshow(heat.numpy(), cmap=HEAT, alpha=0.6, vmin=0)
                figure.colorbar(image, ax=axes, shrink=0.7).ax.tick_params(labelsize=6)
            if not row:
                axes.set_title(f"glimpse {column}" if column else "face", fontsize=8)
    axes = figure.add_subplot(grid[:, columns])
    scaled = (frames - frames.mean(axis=0)) / np.maximum(frames.std(axis=0), 1e-6)
    axes.imshow(scaled.T, aspect="auto", origin="lower", cmap=HEAT, vmin=-3, vmax=3)
    axes.set_title("audio frames", fontsize=8)
    axes.set_xlabel("frame", fontsize=8)
    axes.set_ylabel("feature", fontsize=8)
    axes.tick_params(labelsize=6)
    return figure


def timeline_figure(
    times: Sequence[float], probabilities: Float[Tensor, "windows classes"], names: Sequence[str]
) -> Figure:
    """Draw the probability of each class over time; ``times`` are middles of windows, in s."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for number, name in enumerate(names):
        style = ("-", "--", ":")[number // len(COLOURS) % 3]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(
            times,
            probabilities[:, number].numpy(),
            style,
            color=colour,
            label=name.replace("$", r"\$"),
        )
    axes.set(xlabel="time (s)", ylabel="probability", ylim=(0, 1))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, frameon=False)
    return figure


def comparison_figure(rows: Sequence[Row]) -> Figure:
    """Draw each setting's runs, their mean and its 95 % interval, a panel per metric."""
    metrics = list(rows[0].scores)
    height = 0.35 * len(rows) + 1.2
    figure = Figure(figsize=(3 + 3 * len(metrics), height), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axes, metric in zip(panels, metrics, strict=True):
        for place, row in enumerate(rows):
            score = row.scores[metric]
            runs = [place] * len(score.values)
            axes.plot(score.values, runs, "o", color=COLOURS[5], markersize=4, zorder=1)
            interval = [score.interval] if len(score.values) > 1 else None
            axes.errorbar(
                [score.mean], [place], xerr=interval, fmt="|", color=COLOURS[0], capsize=3, zorder=2
            )
        axes.set_xlabel(metric)
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(rows)), [row.name for row in rows])
    panels[0].invert_yaxis()
    return figure
