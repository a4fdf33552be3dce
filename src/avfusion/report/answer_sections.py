"""Sections of a page about what a network predicts."""

from collections.abc import Sequence
from pathlib import Path

import torch

from avfusion.comparison.records import Run
from avfusion.predictions.archive import Predictions
from avfusion.report.markup import Html, bar, drawing, marked, note, photograph, section, table, tag
from avfusion.report.origin import where
from avfusion.report.plates import Plate, draw_examples
from avfusion.report.scores import ClassScore, class_scores, subject_scores
from avfusion.report.sources import Sources

CLASSES = ("class", "clips", "precision", "recall", "F1", "most often mistaken for")
SUBJECTS = ("subject", "clips", "right", "accuracy", "95 % interval", "attention on the speaker")
LISTED = ("clip", "subject", "true", "predicted", "probability")
FIRST = 40  # subjects that are not folded up


def answer_sections(
    sources: Sources, plates: Sequence[Plate], each: int, mark: str = ""
) -> list[Html]:
    """Return what is known of each class, of each subject and of ``each`` many examples.

    ``mark`` is that of data leakage, beside every number that it concerns.
    """
    predictions = sources.predictions
    drawn = [
        tag("div", drawing(plate.figure, f"{plate.caption} {mark}".strip()), class_="large")
        for plate in plates
        if plate.group == "confusion"
    ]
    matrix = [section("Confusion matrix", tested(predictions), *drawn)] if drawn else []
    intro = [] if drawn else [tested(predictions)]
    examples = draw_examples(predictions, each)
    return [
        *matrix,
        classes(class_scores(predictions), mark, intro),
        subjects(predictions, mark),
        *(
            example_section(f"{group.title()} answers", group, places, sources, plates)
            for group, places in examples.items()
        ),
    ]


def tested(predictions: Predictions) -> Html:
    """Say whose predictions for which clips follow."""
    clips = f"{len(predictions)} clips of the {predictions.split} split of "
    several = " A clip is right where none of its classes is wrong."
    return tag(
        "p",
        f"From here on: what the tested checkpoint predicts for the {clips}",
        where(Path(predictions.store)),
        "" if predictions.target.exclusive else several,
    )


def classes(scores: Sequence[ClassScore], mark: str, intro: Sequence[Html]) -> Html:
    """Return a row per class."""
    rows = [
        (
            s.name,
            s.clips,
            marked(s.precision, mark),
            "-" if s.recall is None else marked(bar(s.recall), mark),
            marked(s.f1, mark),
            s.mistaken,
        )
        for s in scores
    ]
    return section("Classes", *intro, table(CLASSES, rows))


def subjects(predictions: Predictions, mark: str = "") -> Html:
    """Return a row per subject, the worst first."""
    rows = [
        (
            s.name,
            s.clips,
            marked(s.right, mark),
            marked(bar(s.accuracy), mark),
            marked(f"{s.low:.3f} to {s.high:.3f}", mark),
            marked(s.attention_hit, mark),
        )
        for s in subject_scores(predictions)
    ]
    explained = tag("p", f"{len(rows)} subjects, the worst first; the interval is Wilson's.")
    more = table(SUBJECTS, rows[FIRST:])
    rest = tag("details", tag("summary", f"{len(rows) - FIRST} more"), more)
    folded = [rest] if len(rows) > FIRST else []
    return section("Subjects", explained, table(SUBJECTS, rows[:FIRST]), *folded)


def example_section(
    title: str, group: str, places: Sequence[int], sources: Sources, plates: Sequence[Plate]
) -> Html:
    """Return clips with where the network looked most, or a list where there are no pictures."""
    predictions = sources.predictions
    if not places:
        return section(title, note("None is shown."))
    if sources.store is None:
        return section(title, note(sources.missing), table(LISTED, listed(predictions, places)))
    seen = "Each frame is the cell in which a glimpse is largest, with the attention that it holds."
    explained = tag(
        "p",
        "Drawn by lot. The white box is the speaker's face where that is known. ",
        "This network has no attention." if predictions.glimpses is None else seen,
    )
    own = [plate for plate in plates if plate.group == group]
    return section(title, explained, *(photograph(p.figure, p.caption) for p in own))


def listed(predictions: Predictions, places: Sequence[int]) -> list[tuple[object, ...]]:
    """Return a row per clip."""
    target, each_predicted = predictions.target, predictions.predict()
    rows: list[tuple[object, ...]] = []
    for place in places:
        said = target.decide(each_predicted[place])
        parts = " | ".join(f"{value:.2f}" for value in said.parts.values())
        true = target.decode(torch.from_numpy(predictions.targets)[place])
        clip, subject = str(predictions.clip_ids[place]), str(predictions.subjects[place])
        rows.append((clip, subject, true, said.label or "none", parts))
    return rows


def unanswered(run: Run, why: str, mark: str = "") -> Html:
    """Return what results.json alone says of the classes, and why there is no more."""
    start = "test/accuracy_"
    rows = [
        (name.removeprefix(start), marked(bar(value), mark) if value is not None else "-")
        for name, value in run.results.items()
        if name.startswith(start)
    ]
    explained = note("There is no more than the recall of each class, and no clip: ", why)
    return section("Classes", explained, *([table(("class", "recall"), rows)] if rows else []))
