"""Compare the runs of a sweep, of a pattern, or of two folders.

python src/summarize.py logs/sweeps/2026-01-31_12-00-00-000000
python src/summarize.py 'logs/lowrank/*' logs/sweeps --metrics test/loss
python src/summarize.py <run> <other run>
"""

import argparse
import sys
import textwrap
from pathlib import Path

from avfusion.comparison import Run, compare, differences, find_runs, repeated
from avfusion.figures import comparison_figure
from avfusion.tables import show, write_all


def main() -> None:
    """Print and write one table, or what differs between two runs."""
    what, _, examples = __doc__.strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=what,
        epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", nargs="+", help="folders of runs or sweeps, or patterns of them")
    scores = ["test/accuracy", "test/attention_hit"]
    parser.add_argument(
        "--metrics", nargs="+", default=scores, metavar="NAME", help=f"default: {' '.join(scores)}"
    )
    parser.add_argument("--out", type=Path, help="where summary.md, .tex, .csv and .svg go")
    given = parser.parse_args()
    if given.out is not None and not given.out.is_dir():
        sys.exit(f"Error: --out={given.out} is no folder: make it first, or leave it out.")
    try:
        runs = find_runs(given.places)
    except FileNotFoundError as error:
        sys.exit(f"Error: {error}")
    if len(given.places) == len(runs) == 2:
        print_differences(*runs)
        return
    summarize(runs, given.metrics, given.out or Path(given.places[0]))


def summarize(runs: list[Run], metrics: list[str], out: Path) -> None:
    """Print and write the table and the figure of all runs that have ended."""
    for run in runs:
        if run.pruned:
            print(f"Pruned: {run.folder}", file=sys.stderr)
        elif not run.results:
            why = f" ({' and '.join(run.broken)} half-written or broken)" if run.broken else ""
            state = "Failed" if run.failed else "Not finished"
            print(f"{state}: {run.folder}{why}", file=sys.stderr)
    older = repeated(runs)
    for folder, newer in older.items():
        print(f"Left out: {folder}, which {newer} repeats and is newer", file=sys.stderr)
    runs = [run for run in runs if run.folder not in older]
    rows = compare(runs, [m for m in metrics if any(m in run.results for run in runs)])
    if not rows or not rows[0].scores:
        sys.exit(f"Error: none of the {len(runs)} runs has any of {', '.join(metrics)} yet.")
    show(rows)
    folder = out if out.is_dir() else Path()
    write_all(folder, rows)
    comparison_figure(rows).savefig(folder / "summary.svg")
    print(f"Written: {folder}/summary.md, .tex, .csv, .svg")


def print_differences(one: Run, other: Run) -> None:
    """Print the keys whose values differ, side by side."""
    print(f"{'':40} {one.folder} | {other.folder}")
    for key, ours, theirs in differences(one, other):
        print(f"{key:40} {ours} | {theirs}")


if __name__ == "__main__":
    main()
