"""The page of a sweep, or of any runs side by side."""

from collections.abc import Sequence
from pathlib import Path

from avfusion.evaluation.aggregate import LeftOut, Row
from avfusion.evaluation.leak_marks import is_score, leaks_of, mark_leaks
from avfusion.evaluation.runs import Run
from avfusion.evaluation.tables import ASSUMPTIONS, cells, header, undirected
from avfusion.report.markup import Html, anchor, drawing, marked, note, page, section, table, tag
from avfusion.report.origin import shared_configuration, shared_provenance, where
from avfusion.report.plates import Plate
from avfusion.report.run_page import HEADLINES

LAST = 3  # lines of its log that are shown of a run that failed


def sweep_page(
    runs: Sequence[Run], rows: Sequence[Row], without: Sequence[LeftOut], plates: Sequence[Plate]
) -> str:
    """Return the page of runs: their comparison, those that it lacks, and each of them in short."""
    place = common_folder(runs)
    compared = sum(len(row.runs) for row in rows)
    counted = f"{len(runs)} runs in ", where(place), f", {compared} of them compared"
    curves = [drawing(plate.figure, plate.caption) for plate in plates if plate.group == "curves"]
    found = [*(row.leaks for row in rows), *(leaks_of(run.results) for run in runs)]
    marks, footnotes = mark_leaks(found)
    footnotes += undirected(rows)
    sections = [
        comparison(rows, plates, footnotes),
        section("Curves", tag("div", *curves, class_="charts"))
        if curves
        else section("Curves", note("No run has logged its monitor.")),
        not_compared(without),
        section(
            "Runs",
            *(
                in_short(run, place, mark)
                for run, mark in zip(runs, marks[len(rows) :], strict=True)
            ),
        ),
        shared_configuration(runs),
        shared_provenance(runs),
    ]
    lead = tag("p", *counted, class_="quiet")
    return page(f"Report of {place.resolve().name}", lead, sections)


def common_folder(runs: Sequence[Run]) -> Path:
    """Return the folder that all runs lie in."""
    parents = [run.folder.resolve().parents for run in runs]
    return next(parent for parent in parents[0] if all(parent in others for others in parents))


def comparison(rows: Sequence[Row], plates: Sequence[Plate], footnotes: Sequence[str]) -> Html:
    """Return the table of settings, the best of each metric in bold, and its figure."""
    if not rows:
        return section("Comparison", note("No run has results yet."))
    best_in_bold = cells(rows, bold=lambda text: tag("strong", text))
    figures = [drawing(p.figure, p.caption) for p in plates if p.group == "comparison"]
    return section(
        "Comparison",
        table(header(rows), best_in_bold),
        *map(note, footnotes),
        tag("p", ASSUMPTIONS, class_="quiet"),
        tag("div", *figures, class_="large"),
    )


def not_compared(without: Sequence[LeftOut]) -> Html:
    """Return the runs that failed, were given up, still run or are repeated."""
    title = "Runs that are not compared"
    if not without:
        return section(title, tag("p", "None: every run has results."))
    lines = [
        (where(one.run.folder), one.state, " ".join(one.run.overrides), reason(one))
        for one in without
    ]
    return section(title, table(("folder", "state", "chosen", "why"), lines, "values"))


def reason(one: LeftOut) -> str:
    """Return what more is known of a run that is not compared."""
    code = "" if one.run.exit_code in (None, 0) else f"exit code {one.run.exit_code}"
    return one.why.strip(" ,()") or code


def in_short(run: Run, place: Path, mark: str = "") -> Html:
    """Return a few numbers of a run, or the end of what it wrote."""
    name = str(run.folder.resolve().relative_to(place))
    chosen = tag("p", tag("code", " ".join(run.overrides) or "all defaults"))
    title = tag("h3", name, id=f"run-{anchor(name)}")
    if run.results:
        known = {
            HEADLINES[key]: marked(run.results[key], mark if is_score(key) else "")
            for key in HEADLINES
            if key in run.results
        }
        return tag("article", title, chosen, table(list(known), [list(known.values())]))
    log = run.folder / "train.log"
    lines = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    end = "\n".join(lines.splitlines()[-LAST:]) or "It has written no train.log."
    code = "" if run.exit_code is None else f" It ended with code {run.exit_code}."
    state = "Failed." if run.failed else "Not finished."
    return tag("article", title, chosen, note(f"{state}{code}"), tag("pre", end))
