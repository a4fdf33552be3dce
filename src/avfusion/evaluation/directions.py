"""Directions of metrics that the catalog does not know, as the user gives them."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from avfusion.evaluation.runs import Run
from avfusion.training.metrics.catalog import is_higher_better


def add_directions(parser: ArgumentParser) -> None:
    """Let a program be told which way a metric is better that the catalog does not hold."""
    for name, word in (("maximize", "higher"), ("minimize", "lower")):
        known = f"of which a {word} value is better, where that is not known"
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="NAME", help=known)


def given_directions(given: Namespace) -> dict[str, bool]:
    """Read what a program was told: by metric, whether a higher value is better.

    Raises:
        ValueError: a metric stands in both lists.
    """
    if both := set(given.maximize) & set(given.minimize):
        raise ValueError(f"{min(both)} is given to --maximize and to --minimize: leave one out.")
    return dict.fromkeys(given.maximize, True) | dict.fromkeys(given.minimize, False)


def direction_of(metric: str, runs: Sequence[Run], given: Mapping[str, bool]) -> bool | None:
    """Decide whether a higher value of a metric is better; None where nothing says so.

    ``score`` is what the runs monitored, if all of them monitored the same.
    """
    if metric == "score":
        monitors = {str(run.config.get("monitor")) for run in runs}
        metric = monitors.pop() if len(monitors) == 1 else metric
    return given.get(metric, is_higher_better(metric))
