"""The page of one run."""

from typing import NamedTuple

import torch

from avfusion.diagnostics.section import read_diagnoses
from avfusion.evaluation.leak_marks import count_leaks, is_score, mark_leaks
from avfusion.evaluation.runs import Run
from avfusion.report.diagnostics import show_diagnoses
from avfusion.report.figures import (
    PageFigure,
    draw_clip,
    draw_curves,
    draw_layer_weights,
    name_file,
)
from avfusion.report.provenance import describe_configuration, read_provenance
from avfusion.report.rendering import Report, render
from avfusion.report.sources import Sources, read_sources
from avfusion.report.views import VIEWS, View
from avfusion.training.metrics.catalog import headlines

HEADLINES = headlines("test") | headlines(None)  # metrics and costs: name to title


class Example(NamedTuple):
    """A clip, in words and, where the store is at hand, as a picture."""

    caption: str
    picture: PageFigure | None


def report_run(run: Run, examples: int = 3) -> Report:
    """Write the page of a run, with so many examples of each kind."""
    curves = [*draw_curves(run), *draw_layer_weights(run)]
    (mark,), notes = mark_leaks([count_leaks(run.results)])
    sources, view, shown, missing = None, None, {}, ""
    try:
        sources = read_sources(run)
    except (ValueError, OSError) as error:
        missing = str(error)
    else:
        view = VIEWS[sources.predictions.target.kind](sources.predictions, examples)
        shown = _describe_examples(sources, view)

    diagnoses = show_diagnoses(read_diagnoses(run.folder))
    html = render(
        "run.html",
        title=f"Report of {'/'.join(run.folder.resolve().parts[-2:])}",
        run=run,
        results={k: (v, mark if is_score(k) else "") for k, v in run.results.items()},
        headlines=HEADLINES,
        mark=mark,
        notes=notes + _find_faults(run, sources, view),
        curves=curves,
        sources=sources,
        missing=missing,
        view=view,
        examples=shown,
        diagnoses=diagnoses,
        configuration=describe_configuration([run]),
        provenance=read_provenance([run]),
    )
    pictures = [one.picture for group in shown.values() for one in group if one.picture]

    drawn = [figure for one in diagnoses for figure in one.figures]

    return Report(html, [*curves, *(view.plots if view else ()), *pictures, *drawn], missing)


def _describe_examples(sources: Sources, view: View) -> dict[str, list[Example]]:
    predictions, store = sources.predictions, sources.store
    each_predicted = predictions.predict()
    examples: dict[str, list[Example]] = {}
    for title, clips in view.examples.items():
        examples[title] = []
        for position, number in enumerate(clips, start=1):
            true = predictions.target.decode(torch.from_numpy(predictions.targets)[number])
            parts = predictions.target.decide(each_predicted[number]).parts.items()
            predicted = ", ".join(f"{name} ({value:.2f})" for name, value in parts) or "none"
            clip = f"{predictions.clip_ids[number]}, subject {predictions.subjects[number]}"
            caption = f"{clip}: true {true}, predicted {predicted}"

            picture = None
            if store is not None:
                name = name_file(f"{title} {position}")
                picture = draw_clip(name, caption, store, predictions, number)
            examples[title].append(Example(caption, picture))

    return examples


def _find_faults(run: Run, sources: Sources | None, view: View | None) -> list[str]:
    """List caveats about the numbers of a run."""
    faults = []
    if run.pruned:
        faults.append("A search pruned this run: it was not tested.")
    if sources is None or view is None:
        return faults

    metric, value = view.headline
    recorded = run.results.get(f"test/{metric}")

    if recorded is not None and abs(value - recorded) > 0.5 / len(sources.predictions):
        faults.append(
            f"The predictions give a test/{metric} of {value:.4f}, but results.json has "
            f"{recorded:.4f}: what follows is of another test."
        )

    return faults
