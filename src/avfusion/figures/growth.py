"""Growth of a training step with batch, length and map."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from avfusion.benchmark.measure import StepResult
from avfusion.figures.style import get_line_style

AXES = {
    "batch_size": "clips of a batch",
    "frames": "audio frames",
    "map_size": "rows of the face map",
}


def list_growing(steps: Sequence[StepResult]) -> list[str]:
    """List the sizes that have several values."""
    return [name for name in AXES if len({getattr(one, name) for one in steps}) > 1]


def growth_figure(steps: Sequence[StepResult]) -> Figure:
    """Draw the milliseconds of a step over each size that varies, the others at their first value.

    Bars are quartiles; both axes are logarithmic, so that what grows in proportion has slope one.
    """
    growing = list_growing(steps)
    sides = list(dict.fromkeys(one.side for one in steps))
    figure = Figure(figsize=(max(4.5, 3.2 * len(growing)), 3.2), layout="constrained")
    panels = figure.subplots(1, len(growing), squeeze=False, sharey=True)[0]
    for panel, name in zip(panels, growing, strict=True):
        others = [other for other in growing if other != name]
        for number, side in enumerate(sides):
            shown = [
                one
                for one in steps
                if one.side == side
                and all(getattr(one, other) == getattr(steps[0], other) for other in others)
            ]
            below = [one.step.median - one.step.low for one in shown]
            above = [one.step.high - one.step.median for one in shown]
            panel.errorbar(
                [getattr(one, name) for one in shown],
                [one.step.median for one in shown],
                yerr=[below, above],
                marker=".",
                capsize=2,
                label=side,
                **get_line_style(number),
            )
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        values = sorted({getattr(one, name) for one in steps})
        panel.set_xticks(values, labels=list(map(str, values)))
        panel.minorticks_off()
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panel.set_xlabel(AXES[name])
        panel.grid()

    panels[0].set_ylabel("step (ms)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
