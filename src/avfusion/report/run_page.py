"""The page of one run."""

from collections.abc import Sequence

from avfusion.evaluation.leak_marks import is_score, leaks_of, mark_leaks
from avfusion.evaluation.runs import Run
from avfusion.report.answer_sections import answer_sections, unanswered
from avfusion.report.markup import Html, drawing, marked, note, page, section, table, tag
from avfusion.report.origin import configuration, opened, provenance, where
from avfusion.report.plates import Plate
from avfusion.report.sources import Sources
from avfusion.report.views import view_of
from avfusion.training.metrics.catalog import headlines

HEADLINES = headlines("test") | headlines(None)


def run_page(run: Run, sources: Sources | str, plates: Sequence[Plate], examples: int = 3) -> str:
    """Return the page of a run; ``sources`` may be the reason why there are no predictions."""
    lead = tag("p", "A run in ", where(run.folder), class_="quiet")
    (mark,), _ = mark_leaks([leaks_of(run.results)])
    if isinstance(sources, str):
        parts = [unanswered(run, sources, mark)]
    else:
        parts = answer_sections(sources, plates, examples, mark)
    curves = [drawing(plate.figure, plate.caption) for plate in plates if plate.group == "curves"]
    drawn = tag("div", *curves, class_="charts") if curves else note("No curves were logged.")
    sections = [results(run, sources), section("Curves", drawn), *parts]
    name = "/".join(run.folder.resolve().parts[-2:])  # of the sweep, or the model, too
    return page(f"Report of {name}", lead, [*sections, configuration(run), provenance(run)])


def results(run: Run, sources: Sources | str) -> Html:
    """Return what results.json holds, with what has to be known about it."""
    if not run.results:
        state = "failed" if run.failed else "has not finished"
        broken = f"; {' and '.join(run.broken)} half-written or broken" if run.broken else ""
        return section("Results", note(f"This run {state}: it has no results{broken}."))
    (mark,), footnotes = mark_leaks([leaks_of(run.results)])
    values = {k: marked(v, mark if is_score(k) else "") for k, v in run.results.items()}
    tiles = [
        tag("div", tag("dt", words), tag("dd", values[name]))
        for name, words in HEADLINES.items()
        if name in values
    ]
    every = table(("name", "value"), list(values.items()), "values")
    return section(
        "Results",
        tag("dl", *tiles, class_="tiles"),
        *map(note, footnotes),
        *remarks(run, sources),
        opened("all of results.json", tag("div", every, class_="columns")),
    )


def remarks(run: Run, sources: Sources | str) -> list[Html]:
    """Return what makes the numbers of a run less than they seem."""
    found = []
    if run.pruned:
        found.append(note("A search gave this run up: it was not tested."))
    if twice := run.results.get("data/same_sound_twice"):
        found.append(note(f"same sound twice in one split: {twice}"))
    if isinstance(sources, str):
        return found
    predictions = sources.predictions
    name, score = view_of(predictions).headline(predictions)
    recorded = run.results.get(f"test/{name}")
    if recorded is not None and abs(score - recorded) > 0.5 / len(predictions):
        found.append(
            note(
                f"The predictions give a test/{name} of {score:.4f}, not that of results.json: "
                "what follows is of another test."
            )
        )
    return found
