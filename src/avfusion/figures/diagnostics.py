"""Charts of diagnostics as figures."""

import textwrap

from matplotlib.figure import Figure

from avfusion.diagnostics.section import Chart
from avfusion.figures.style import COLORS, INK, get_line_style

MARKERS = "osD^v"
MAX_NAME_LENGTH = 30  # characters of a line of a name
MAX_MARKED_POINTS = 40


def chart_figure(chart: Chart) -> Figure:
    """Draw a chart: lines over numbers, or a row of points for each text."""
    is_rows = any(isinstance(x, str) for line in chart.lines for x in line.x)
    return _draw_rows(chart) if is_rows else _draw_lines(chart)


def _draw_lines(chart: Chart) -> Figure:
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.add_subplot()
    if chart.diagonal:
        axes.axline((0, 0), slope=1, color=INK, linestyle=":", linewidth=1)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    for number, line in enumerate(chart.lines):
        marker = "." if len(line.x) < MAX_MARKED_POINTS else ""
        style = get_line_style(number)
        axes.plot(line.x, line.y, marker=marker, label=line.name, **style)
        if line.low:
            band = {"color": style["color"], "alpha": 0.2, "linewidth": 0}
            axes.fill_between(line.x, line.low, line.high, **band)
    axes.set(xlabel=chart.x, ylabel=chart.y)
    if chart.ticks:
        axes.set_xticks(range(len(chart.ticks)), chart.ticks)
    axes.grid()
    _name_lines(figure, chart)
    return figure


def _draw_rows(chart: Chart) -> Figure:
    names = list(dict.fromkeys(str(x) for line in chart.lines for x in line.x))
    figure = Figure(figsize=(6, max(0.3 * len(names), 0.6) + 1.2), layout="constrained")
    axes = figure.add_subplot()
    for number, line in enumerate(chart.lines):
        positions = [names.index(str(x)) for x in line.x]
        marker = MARKERS[number % len(MARKERS)]
        color = COLORS[number % len(COLORS)]
        axes.plot(line.y, positions, marker, color=color, markersize=5, label=line.name)
        if line.low:
            axes.hlines(positions, line.low, line.high, color=color)
    left, right = axes.get_xlim()
    axes.set_xlim(min(left, 0), max(right, 0))
    axes.set_xlabel(chart.x)
    axes.set_yticks(range(len(names)), [textwrap.fill(n, MAX_NAME_LENGTH) for n in names])
    axes.set_ylim(len(names) - 0.5, -0.5)  # the first one above
    axes.grid(axis="x")
    _name_lines(figure, chart)
    return figure


def _name_lines(figure: Figure, chart: Chart) -> None:
    if len(chart.lines) > 1:
        figure.legend(loc="outside lower center", ncols=min(3, len(chart.lines)))
