"""Bar chart of the weights of layers."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from avfusion.figures.style import COLORS


def layer_weights_figure(weights: Sequence[float]) -> Figure:
    """Draw how much each layer of a frozen encoder counts, beside equal weights."""
    figure = Figure(figsize=(max(3.0, 0.3 * len(weights) + 1.2), 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.bar(range(len(weights)), weights, color=COLORS[0])
    axes.axhline(1 / len(weights), color=COLORS[1], linestyle="--", linewidth=1, label="equal")
    axes.set(xlabel="layer", ylabel="weight", ylim=(0, max(0.01, 1.1 * max(weights))))
    axes.set_xticks(range(0, len(weights), 1 + len(weights) // 26))
    axes.legend(loc="upper right")
    return figure
