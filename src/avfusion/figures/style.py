"""Style of every figure: in TensorBoard, in files, on a page of a report.

Its import sets matplotlib's defaults, as ticks are made only when a figure is drawn, which others
do (TensorBoard, a notebook) long after the function that composed it has returned.
"""

from pathlib import Path
from typing import Any

import matplotlib
from cycler import cycler
from matplotlib.figure import Figure

from avfusion.figures.formats import check_format
from avfusion.training.metrics.catalog import unit_of

INK = "#222222"  # of lines and letters; a page that is dark exchanges it
# Okabe and Ito, 2008: eight colors that the color-blind can distinguish, too; ink is their black.
COLORS = [*"#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #F0E442".split(), INK]
LINE_STYLES = ("-", "--", ":", "-.")  # for more lines than colors
COLORMAP = "cividis"  # a map of colors that the color-blind see alike
RIGHT, WRONG = COLORS[2], COLORS[1]  # never distinguished by color alone

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "grid.alpha": 0.3,
    "axes.titley": 1.0,  # no ticks stand above; to make sure takes a quarter of drawing a clip
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLORS),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    "text.parse_math": False,  # a name may hold dollars
    "savefig.dpi": 120,
    "image.composite_image": False,  # of one axes, in svg and pdf: each keeps its own pixels
    "pdf.fonttype": 42,  # journals refuse the default, Type 3
    "svg.hashsalt": "avfusion",  # the same figure is the same file
}
matplotlib.rcParams.update(STYLE)

# No date, for the same reason.
METADATA: dict[str, dict[str, None]] = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


def get_line_style(number: int) -> dict[str, Any]:
    """Color and dashes of one line of many."""
    dashes = LINE_STYLES[number // len(COLORS) % len(LINE_STYLES)]
    return {"color": COLORS[number % len(COLORS)], "linestyle": dashes}


def add_unit(metric: str) -> str:
    """Name of a metric with its unit, where it has one."""
    unit = unit_of(metric)
    return f"{metric} ({unit})" if unit else metric


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure in the format that its name ends with: png, or svg and pdf for papers."""
    figure_format = check_format(path.suffix[1:], "The end of a figure's name")
    figure.savefig(path, metadata=METADATA[figure_format])
    return path
