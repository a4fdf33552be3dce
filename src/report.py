"""Write one page of HTML about a run, or about the runs of a sweep.

python src/report.py logs/lowrank/2026-01-31_12-00-00-000000
python src/report.py logs/sweeps/2026-01-31_12-00-00-000000 --figures pdf
python src/report.py 'logs/lowrank/*' --metrics test/loss --out page
"""

import argparse
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from avfusion.environment import write_utf8
from avfusion.evaluation.aggregate import left_out, ranked
from avfusion.evaluation.directions import add_directions, given_directions
from avfusion.evaluation.runs import Run, find_runs
from avfusion.figures.formats import FORMATS
from avfusion.threads import set_up_threads
from avfusion.training.metrics.catalog import COMPARED

if TYPE_CHECKING:  # what it takes to write a page takes seconds to import
    from avfusion.report.plates import Plate
    from avfusion.report.sources import Sources


def main() -> None:
    """Write report.html, and its figures as files where they are asked for."""
    set_up_threads()
    write_utf8()
    given = arguments()
    try:
        runs = find_runs(given.places)
        directions = given_directions(given)
        one = len(runs) == 1
        text, plates = of_run(runs[0], given) if one else of_sweep(runs, given.metrics, directions)
    except (ValueError, OSError) as error:
        sys.exit(f"Error: {error}")
    place = given.out or Path(given.places[0])
    folder = place if place.is_dir() else Path()
    if given.figures:
        from avfusion.figures.style import save_figure

        (folder / "figures").mkdir(exist_ok=True)
        for plate in plates:
            save_figure(plate.figure, folder / "figures" / f"{plate.name}.{given.figures}")
    page = folder / "report.html"
    page.write_text(text, encoding="utf-8", errors="replace")
    print(f"Written: {page}")


def arguments() -> argparse.Namespace:
    """Return what was asked for, or refuse it."""
    what, _, examples = __doc__.strip().partition("\n\n")
    parser = argparse.ArgumentParser(
        description=what,
        epilog=f"examples:\n{textwrap.indent(examples, '  ')}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("places", nargs="+", help="a run, a sweep, or patterns of them")
    parser.add_argument("--examples", type=int, default=3, help="right and wrong answers, of each")
    parser.add_argument(
        "--metrics", nargs="+", default=COMPARED, metavar="NAME", help="that a sweep's table has"
    )
    add_directions(parser)
    parser.add_argument("--out", type=Path, help="the folder of report.html")
    parser.add_argument("--figures", choices=FORMATS, help="write them beside the page, too")
    given = parser.parse_args()
    if given.out is not None and not given.out.is_dir():
        sys.exit(f"Error: --out={given.out} is no folder: make it first, or leave it out.")
    if given.examples < 0:
        sys.exit(f"Error: --examples must be at least 0, got {given.examples}.")
    return given


def of_run(run: Run, given: argparse.Namespace) -> "tuple[str, list[Plate]]":
    """Return the page of a run and its figures."""
    from avfusion.report.plates import run_plates
    from avfusion.report.run_page import run_page
    from avfusion.report.sources import read_sources

    sources: Sources | str
    try:
        sources = read_sources(run)
    except (ValueError, OSError) as error:
        sources = str(error)
        print(f"Without predictions: {sources}", file=sys.stderr)
    plates = run_plates(run, None if isinstance(sources, str) else sources, given.examples)
    return run_page(run, sources, plates, given.examples), plates


def of_sweep(
    runs: list[Run], metrics: list[str], directions: dict[str, bool]
) -> "tuple[str, list[Plate]]":
    """Return the page of runs side by side and its figures."""
    from avfusion.evaluation.aggregate import compare
    from avfusion.report.plates import sweep_plates
    from avfusion.report.sweep_page import sweep_page

    without = left_out(runs)
    compared = ranked(runs, without)
    known = [metric for metric in metrics if any(metric in run.results for run in compared)]
    if compared and not known:
        raise ValueError(f"None of the {len(compared)} runs has any of {', '.join(metrics)}.")
    rows = compare(compared, known, directions)
    plates = sweep_plates(rows)
    return sweep_page(runs, rows, without, plates), plates


if __name__ == "__main__":
    main()
