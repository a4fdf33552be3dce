"""Compare the runs of a sweep, of a pattern, or of two folders; pool their folds.

python src/summarize.py logs/sweeps/2026-01-31_12-00-00-000000
python src/summarize.py 'logs/lowrank/*' logs/sweeps --metrics test/loss
python src/summarize.py <run> <other run>
"""

import argparse
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from avfusion.console import replace_unprintable, use_utf8
from avfusion.evaluation.directions import add_direction_arguments, read_directions
from avfusion.evaluation.leak_marks import count_leaks, is_score, mark_leaks
from avfusion.evaluation.runs import Run, find_runs
from avfusion.figures.formats import FORMATS
from avfusion.training.metrics.catalog import COMPARED


def main() -> None:
    """Print and write one table, or the differences of two runs."""
    use_utf8()
    given = _parse_arguments()
    try:
        directions = read_directions(given)
        runs = find_runs(given.paths)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"Error: {error}")

    if len(given.paths) == len(runs) == 2:
        print_differences(*runs)
        return
    out = given.out or Path(given.paths[0])
    summarize(runs, given.metrics, directions, out, given.format)
    from avfusion.run.pooling import report_pooled

    report_pooled(runs, out, given.format, not given.no_baselines, given.ensemble)


def _parse_arguments() -> argparse.Namespace:
    description, _, examples = __doc__.strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="+", help="folders of runs or sweeps, or patterns of them")
    default = f"columns of the table; by default those of {', '.join(COMPARED)} that the runs have"
    parser.add_argument("--metrics", nargs="+", default=COMPARED, metavar="NAME", help=default)
    add_direction_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder of summary.md, .tex, .csv and the figure")
    parser.add_argument("--format", choices=FORMATS, default="svg", help="format of the figure")

    parser.add_argument("--no-baselines", action="store_true", help="leave linear probes out")
    choices = ("probabilities", "logits", "stacked")
    parser.add_argument(
        "--ensemble", choices=choices, help="add means of networks, or a regression"
    )

    given = parser.parse_args()
    if given.out is not None and not given.out.is_dir():
        sys.exit(f"Error: --out={given.out} is no folder: create it first, or drop --out.")
    return given


def summarize(
    runs: list[Run], metrics: list[str], directions: dict[str, bool], out: Path, figure_format: str
) -> None:
    """Print and write the table and the figure of all runs that have ended."""
    # These import scipy and matplotlib: seconds, once the command line is known to be right.
    from avfusion.evaluation.aggregate import (
        compare_settings,
        find_exclusions,
        without_excluded,
    )
    from avfusion.evaluation.tables import print_table, write_tables
    from avfusion.figures.predictions import comparison_figure
    from avfusion.figures.style import save_figure

    exclusions = find_exclusions(runs)
    for exclusion in exclusions:
        print(exclusion, file=sys.stderr)

    compared = without_excluded(runs, exclusions)
    measured = {name for run in compared for name in run.results}
    columns = [metric for metric in metrics if metric in measured]
    rows = compare_settings(compared, columns, directions)
    if not rows or not rows[0].scores:
        sys.exit(f"Error: none of the {len(runs)} runs has any of {', '.join(metrics)} yet.")

    print_table(rows)
    folder = out if out.is_dir() else Path()
    write_tables(folder, rows)
    save_figure(comparison_figure(rows), folder / f"summary.{figure_format}")
    print(f"Written: {folder}/summary.md, .tex, .csv, .{figure_format}")


def shorten(values: Sequence[object]) -> list[str]:
    """Shorten numbers to four digits, but where these are the same."""
    short = [f"{value:.4g}" if isinstance(value, float) else str(value) for value in values]
    return short if len(set(short)) > 1 else [str(value) for value in values]


def print_differences(one: Run, other: Run) -> None:
    """Print the keys whose values differ, with both values, leakage marked beside scores."""
    from avfusion.evaluation.aggregate import find_differences

    marks, footnotes = mark_leaks([count_leaks(one.results), count_leaks(other.results)])
    print(f"{'':40} {one.folder} | {other.folder}")
    for key, *values in find_differences(one, other):
        marked = [
            f"{text}{mark if is_score(key) and value is not None else ''}"
            for value, text, mark in zip(values, shorten(values), marks, strict=True)
        ]
        print(replace_unprintable(f"{key:40} {' | '.join(marked)}"))

    for note in footnotes:
        print(replace_unprintable(note))


if __name__ == "__main__":
    main()
