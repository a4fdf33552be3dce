"""Write one page of HTML about a run, or about the runs of a sweep.

python src/report.py logs/lowrank/2026-01-31_12-00-00-000000
python src/report.py logs/sweeps/2026-01-31_12-00-00-000000 --figures pdf
python src/report.py 'logs/lowrank/*' --metrics test/loss --out page
"""

import argparse
import sys
import textwrap
from pathlib import Path

from avfusion.console import use_utf8
from avfusion.evaluation.directions import add_direction_arguments, read_directions
from avfusion.evaluation.runs import find_runs
from avfusion.figures.formats import FORMATS
from avfusion.threads import set_up_threads
from avfusion.training.metrics.catalog import COMPARED


def main() -> None:
    """Write report.html, and its figures as files where they are asked for."""
    set_up_threads()
    use_utf8()
    arguments = _parse_arguments()

    try:
        runs = find_runs(arguments.runs)
        directions = read_directions(arguments)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")

    # These import torch and matplotlib: seconds, once the command line is known to be right.
    from avfusion.figures.style import save_figure
    from avfusion.report.run_page import report_run
    from avfusion.report.sweep_page import report_sweep
    from avfusion.run.pooling import pool_runs

    try:
        if len(runs) == 1:
            report = report_run(runs[0], arguments.examples)
        else:
            pooled = pool_runs(runs, not arguments.no_baselines, arguments.ensemble)
            report = report_sweep(runs, arguments.metrics, directions, *pooled)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    if report.missing:
        print(f"Without predictions: {report.missing}", file=sys.stderr)

    folder = arguments.out or Path(arguments.runs[0])
    folder = folder if folder.is_dir() else Path()
    if arguments.figures:
        (folder / "figures").mkdir(exist_ok=True)
        for one in report.figures:
            save_figure(one.figure, folder / "figures" / f"{one.name}.{arguments.figures}")
    page = folder / "report.html"
    page.write_text(report.html, encoding="utf-8", errors="replace")
    print(f"Written: {page}")


def _parse_arguments() -> argparse.Namespace:
    what, _, examples = __doc__.strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=what,
        epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="+", help="a run, a sweep, or patterns of them")
    parser.add_argument("--examples", type=int, default=3, help="clips of each kind to show")
    parser.add_argument(
        "--metrics", nargs="+", default=COMPARED, metavar="NAME", help="in the table of a sweep"
    )
    add_direction_arguments(parser)
    parser.add_argument("--no-baselines", action="store_true", help="leave linear probes out")
    choices = ("probabilities", "logits", "stacked")
    parser.add_argument(
        "--ensemble", choices=choices, help="add means of networks, or a regression"
    )
    parser.add_argument("--out", type=Path, help="folder of report.html")
    parser.add_argument("--figures", choices=FORMATS, help="write them beside the page, too")
    arguments = parser.parse_args()

    if arguments.out is not None and not arguments.out.is_dir():
        sys.exit(f"Error: --out={arguments.out} is no folder: create it first, or drop --out.")
    if arguments.examples < 0:
        sys.exit(f"Error: --examples must be at least 0, got {arguments.examples}.")
    return arguments


if __name__ == "__main__":
    main()
