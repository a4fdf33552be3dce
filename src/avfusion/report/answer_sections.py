"""Sections of a page about what a network predicts."""

from collections.abc import Sequence
from pathlib import Path

import torch

from avfusion.evaluation.predictions import Predictions
from avfusion.evaluation.runs import Run
from avfusion.report.markup import Html, bar, drawing, marked, note, photograph, section, table, tag
from avfusion.report.origin import where
from avfusion.report.plates import Plate
from avfusion.report.sources import Sources
from avfusion.report.views import VIEWS, view_of


def answer_sections(
    sources: Sources, plates: Sequence[Plate], each: int, mark: str = ""
) -> list[Html]:
    """Return what is known of the predictions as a whole, and ``each`` many examples.

    ``mark`` is that of data leakage, beside every number that it concerns.
    """
    predictions, view = sources.predictions, view_of(sources.predictions)
    drawn = [
        tag("div", drawing(plate.figure, f"{plate.caption} {mark}".strip()), class_="large")
        for plate in plates
        if plate.group == "answers"
    ]
    examples = view.examples(predictions, each)
    return [
        *view.sections(predictions, tested(predictions), drawn, mark),
        *(
            example_section(f"{group.title()} answers", group, places, sources, plates)
            for group, places in examples.items()
        ),
    ]


def tested(predictions: Predictions) -> Html:
    """Say whose predictions for which clips follow."""
    clips = f"{len(predictions)} clips of the {predictions.split} split of "
    return tag(
        "p",
        f"From here on: what the tested checkpoint predicts for the {clips}",
        where(Path(predictions.store)),
    )


def example_section(
    title: str, group: str, places: Sequence[int], sources: Sources, plates: Sequence[Plate]
) -> Html:
    """Return clips with where the network looked most, or a list where there are no pictures."""
    predictions = sources.predictions
    if not places:
        return section(title, note("None is shown."))
    if sources.store is None:
        return section(title, note(sources.missing), listed(predictions, places))
    seen = "Each frame is the cell in which a glimpse is largest, with the attention that it holds."
    explained = tag(
        "p",
        view_of(predictions).choice,
        " The white box is the speaker's face where that is known. ",
        "This network has no attention." if predictions.glimpses is None else seen,
    )
    own = [plate for plate in plates if plate.group == group]
    return section(title, explained, *(photograph(p.figure, p.caption) for p in own))


def listed(predictions: Predictions, places: Sequence[int]) -> Html:
    """Return a table with a row per clip."""
    target, each_predicted = predictions.target, predictions.predict()
    rows: list[tuple[object, ...]] = []
    for place in places:
        true = target.decode(torch.from_numpy(predictions.targets)[place])
        clip, subject = str(predictions.clip_ids[place]), str(predictions.subjects[place])
        rows.append((clip, subject, true, *target.describe(each_predicted[place])))
    return table(("clip", "subject", "true", *target.columns), rows)


def unanswered(run: Run, why: str, mark: str = "") -> Html:
    """Return what results.json alone says of the classes, and why there is no more."""
    view = VIEWS.get(str(run.config.get("description.labels")), VIEWS["single_label"])
    score, kind, title = view.each
    start = f"test/{score}_"
    rows = [
        (name.removeprefix(start), marked(bar(value), mark) if value is not None else "-")
        for name, value in run.results.items()
        if name.startswith(start)
    ]
    explained = note(f"There is no more than the {title} of each {kind}, and no clip: ", why)
    return section(view.title, explained, *([table((kind, title), rows)] if rows else []))
