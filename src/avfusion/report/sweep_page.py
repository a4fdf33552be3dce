"""The page of a sweep, or of any runs side by side."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from avfusion.diagnostics.section import read_diagnoses
from avfusion.evaluation.aggregate import compare_settings, find_exclusions, without_excluded
from avfusion.evaluation.leak_marks import count_leaks, is_score, mark_leaks
from avfusion.evaluation.pooled_scores import PooledRow
from avfusion.evaluation.pooled_tables import (
    BEST,
    SECOND,
    Details,
    make_detail_tables,
    make_tables,
)
from avfusion.evaluation.runs import Run
from avfusion.evaluation.tables import (
    ASSUMPTIONS,
    explain_unknown_directions,
    format_cells,
    make_header,
)
from avfusion.report.diagnostics import show_diagnoses
from avfusion.report.figures import draw_comparison, draw_monitors, draw_pooled
from avfusion.report.provenance import describe_configuration, read_provenance
from avfusion.report.rendering import Report, render
from avfusion.report.run_page import HEADLINES
from avfusion.training.metrics.catalog import COMPARED

EMPHASIS = {BEST: Markup("<strong>{}</strong>"), SECOND: Markup("<u>{}</u>")}
MAX_LOG_LINES = 3  # of the log of a run without results


def report_sweep(
    runs: Sequence[Run],
    metrics: Sequence[str] = COMPARED,
    directions: Mapping[str, bool] | None = None,
    pooled: Sequence[PooledRow] = (),
    details: Mapping[str, Details] | None = None,
    refusals: Sequence[str] = (),
) -> Report:
    """Write the page of runs: their comparison, those that it lacks, and the numbers of each.

    ``pooled`` are scores of out-of-fold predictions, with ``details`` of settings by name, and
    ``refusals`` sentences about what could not be pooled.

    Raises:
        ValueError: none of the runs has any of the metrics.
    """
    excluded = find_exclusions(runs)
    compared = without_excluded(runs, excluded)
    known = [metric for metric in metrics if any(metric in run.results for run in compared)]
    if compared and not known:
        raise ValueError(f"None of the {len(compared)} runs has any of {', '.join(metrics)}.")
    rows = compare_settings(compared, known, directions)

    parents = [run.folder.resolve().parents for run in runs]
    folder = next(path for path in parents[0] if all(path in others for others in parents))
    common = set(runs[0].overrides).intersection(*(run.overrides for run in runs))
    names = {run.folder: str(run.folder.resolve().relative_to(folder)) for run in runs}
    chosen = {run.folder: " ".join(o for o in run.overrides if o not in common) for run in runs}

    tested = [run for run in runs if run.results]
    marks, footnotes = mark_leaks(
        [*(row.leaks for row in rows), *(count_leaks(run.results) for run in tested)]
    )
    keys = [key for key in HEADLINES if any(key in run.results for run in tested)]
    numbers = []
    for run, mark in zip(tested, marks[len(rows) :], strict=True):
        values = [(run.results.get(key), mark if is_score(key) else "") for key in keys]
        numbers.append((names[run.folder], chosen[run.folder], values))

    exclusions = []
    for run, state, why in excluded:
        why = why.strip(" ,()") or (f"exit code {run.exit_code}" if run.exit_code else "")
        log = "" if run.results else _read_log_end(run)
        exclusions.append((names[run.folder], state, chosen[run.folder], why, log))

    comparison, monitors = draw_comparison(rows), draw_monitors(rows)
    over_folds = draw_pooled(pooled)
    detailed = [t for name, one in (details or {}).items() for t in make_detail_tables(name, one)]
    diagnoses = show_diagnoses(read_diagnoses(folder))
    html = render(
        "sweep.html",
        title=f"Report of {folder.name}",
        folder=folder,
        runs=runs,
        compared=compared,
        head=make_header(rows) if rows else [],
        rows=format_cells(rows, bold=Markup("<strong>{}</strong>").format) if rows else [],
        notes=footnotes + explain_unknown_directions(rows),
        assumptions=ASSUMPTIONS,
        comparison=comparison,
        monitors=monitors,
        pooled=make_tables(pooled) if pooled else [],
        detailed=detailed,
        refusals=refusals,
        over_folds=over_folds,
        diagnoses=diagnoses,
        emphasize=_emphasize,
        excluded=exclusions,
        columns=[HEADLINES[key] for key in keys],
        numbers=numbers,
        common=" ".join(o for o in runs[0].overrides if o in common),
        configuration=describe_configuration(runs),
        provenance=read_provenance(runs),
    )

    drawn = [figure for one in diagnoses for figure in one.figures]
    return Report(html, [*comparison, *over_folds, *drawn, *monitors])


def _emphasize(cell: str) -> str:
    """Write the cell of a pooled table, where it is the best or the second so."""
    return EMPHASIS[cell[0]].format(cell[1:]) if cell[:1] in EMPHASIS else cell


def _read_log_end(run: Run) -> str:
    log = run.folder / "train.log"
    if not log.is_file():
        return "It has written no train.log."
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-MAX_LOG_LINES:])
