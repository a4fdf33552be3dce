"""Directions of metrics that the catalog does not know, given on the command line."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from avfusion.evaluation.runs import Run
from avfusion.training.metrics.catalog import is_higher_better


def add_direction_arguments(parser: ArgumentParser) -> None:
    """Add --maximize and --minimize to a program, for metrics that the catalog does not know."""
    for name, word in (("maximize", "higher"), ("minimize", "lower")):
        description = f"metrics of which a {word} value is better, where that is not known"
        parser.add_argument(f"--{name}", nargs="+", default=[], metavar="NAME", help=description)


def read_directions(given: Namespace) -> dict[str, bool]:
    """Read those arguments: by metric, whether a higher value is better.

    Raises:
        ValueError: A metric stands in both lists.
    """
    if both := set(given.maximize) & set(given.minimize):
        raise ValueError(f"{min(both)} is given to --maximize and to --minimize: leave one out.")

    return dict.fromkeys(given.maximize, True) | dict.fromkeys(given.minimize, False)


def find_direction(metric: str, runs: Sequence[Run], given: Mapping[str, bool]) -> bool | None:
    """Find whether a higher value of a metric is better; None where that is not known.

    ``score`` is the metric that the runs monitored, if all of them monitored the same.
    """
    if metric == "score":
        monitors = {str(run.config.get("monitor")) for run in runs}
        metric = monitors.pop() if len(monitors) == 1 else metric

    return given.get(metric, is_higher_better(metric))
