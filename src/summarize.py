"""Compare the runs of a sweep, of a pattern, or of two folders.

python src/summarize.py logs/sweeps/2026-01-31_12-00-00-000000
python src/summarize.py 'logs/lowrank/*' logs/sweeps --metrics test/loss
python src/summarize.py <run> <other run>
"""

import argparse
import sys
import textwrap
from pathlib import Path

from avfusion.console import replace_unprintable
from avfusion.environment import write_utf8
from avfusion.evaluation.aggregate import left_out, ranked
from avfusion.evaluation.directions import add_directions, given_directions
from avfusion.evaluation.leak_marks import is_score, leaks_of, mark_leaks
from avfusion.evaluation.runs import Run, find_runs
from avfusion.figures.formats import FORMATS
from avfusion.training.metrics.catalog import COMPARED


def main() -> None:
    """Print and write one table, or what differs between two runs."""
    write_utf8()
    what, _, examples = __doc__.strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=what,
        epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", nargs="+", help="folders of runs or sweeps, or patterns of them")
    known = f"default, where there are any: {' '.join(COMPARED)}"
    parser.add_argument("--metrics", nargs="+", default=COMPARED, metavar="NAME", help=known)
    add_directions(parser)
    parser.add_argument("--out", type=Path, help="where summary.md, .tex, .csv and the figure go")
    parser.add_argument("--format", choices=FORMATS, default="svg", help="of the figure")
    given = parser.parse_args()
    if given.out is not None and not given.out.is_dir():
        sys.exit(f"Error: --out={given.out} is no folder: make it first, or leave it out.")
    try:
        directions = given_directions(given)
        runs = find_runs(given.places)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f"Error: {error}")
    if len(given.places) == len(runs) == 2:
        print_differences(*runs)
        return
    out = given.out or Path(given.places[0])
    summarize(runs, given.metrics, directions, out, given.format)


def summarize(
    runs: list[Run], metrics: list[str], directions: dict[str, bool], out: Path, form: str
) -> None:
    """Print and write the table and the figure of all runs that have ended."""
    # These import scipy and matplotlib: seconds, once the command line is known to be right.
    from avfusion.evaluation.aggregate import compare
    from avfusion.evaluation.tables import show, write_all
    from avfusion.figures.predictions import comparison_figure
    from avfusion.figures.style import save_figure

    without = left_out(runs)
    for one in without:
        print(one, file=sys.stderr)
    compared = ranked(runs, without)
    known = {name for run in compared for name in run.results}
    rows = compare(compared, [metric for metric in metrics if metric in known], directions)
    if not rows or not rows[0].scores:
        sys.exit(f"Error: none of the {len(runs)} runs has any of {', '.join(metrics)} yet.")
    show(rows)
    folder = out if out.is_dir() else Path()
    write_all(folder, rows)
    save_figure(comparison_figure(rows), folder / f"summary.{form}")
    print(f"Written: {folder}/summary.md, .tex, .csv, .{form}")


def print_differences(one: Run, other: Run) -> None:
    """Print the keys whose values differ, side by side, leakage marked beside scores."""
    from avfusion.evaluation.aggregate import differences

    marks, footnotes = mark_leaks([leaks_of(one.results), leaks_of(other.results)])
    print(f"{'':40} {one.folder} | {other.folder}")
    for key, *values in differences(one, other):
        marked = [
            f"{value}{mark if is_score(key) and value is not None else ''}"
            for value, mark in zip(values, marks, strict=True)
        ]
        print(replace_unprintable(f"{key:40} {' | '.join(marked)}"))
    for note in footnotes:
        print(replace_unprintable(note))


if __name__ == "__main__":
    main()
