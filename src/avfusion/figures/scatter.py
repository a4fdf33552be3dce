"""Scatter plot of predicted over true numbers."""

import math
from collections.abc import Sequence

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from avfusion.figures.style import COLORS, INK
from avfusion.messages import pluralize
from avfusion.training.metrics.agreement import score_numbers

COLUMNS = 3  # panels beside each other
MAX_VECTOR_POINTS = 2000  # points, which are dots in a drawing of vectors, too


def scatter_figure(
    true: Float[Tensor, "clips names"],
    predicted: Float[Tensor, "clips names"],
    names: Sequence[str],
) -> Figure:
    """Draw a panel per name: each clip whose number is known, the line of agreement, the CCC."""
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(0.4 + 3.2 * columns, 3.4 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels:
        axes.set_axis_off()

    for axes, name, x, y in zip(panels, names, true.T, predicted.T, strict=False):
        known = ~x.isnan()
        if not known.any():
            axes.text(0.5, 0.5, f"{name}: no clip has one", ha="center", transform=axes.transAxes)
            continue
        axes.set_axis_on()
        x, y = x[known].cpu(), y[known].cpu()
        ccc = score_numbers(y, x)["ccc"]
        axes.axline((float(x.mean()), float(x.mean())), slope=1, color=INK, linestyle=":", lw=1)
        axes.plot(
            x.numpy(), y.numpy(), ".", color=COLORS[0], markersize=4, alpha=0.7, mew=0,
            rasterized=len(x) > MAX_VECTOR_POINTS,
        )  # fmt: skip
        axes.set_title(f"{name}: CCC {ccc:.2f}, {pluralize(len(x), 'clip')}")
        axes.set(xlabel="true", ylabel="predicted")
        axes.grid()

    return figure
