"""What a network answers, as sections of a page."""

from collections.abc import Sequence

from avfusion.comparison.records import Run
from avfusion.report.answers import Answers
from avfusion.report.markup import Html, bar, drawing, marked, note, photograph, section, table, tag
from avfusion.report.origin import where
from avfusion.report.plates import Plate
from avfusion.report.scores import ClassScore, class_scores, confusion, subject_scores

CLASSES = ("class", "clips", "precision", "recall", "F1", "most often mistaken for")
SUBJECTS = ("subject", "clips", "right", "accuracy", "95 % interval", "attention on the speaker")
FIRST = 40  # subjects that are not folded up


def answer_sections(answers: Answers, plates: Sequence[Plate], mark: str = "") -> list[Html]:
    """Return what is known of each class, of each subject and of some clips.

    ``mark`` is that of data leakage, beside every number that it concerns.
    """
    (matrix,) = (plate for plate in plates if plate.group == "confusion")
    caption = f"{matrix.caption} {mark}".strip()
    drawn = tag("div", drawing(matrix.figure, caption), class_="large")
    looks = any(answer.glimpses is not None for answer in answers.each)
    return [
        section("Confusion matrix", asked(answers), drawn),
        classes(class_scores(confusion(answers), answers.names), mark),
        subjects(answers, mark),
        examples("Right answers", [plate for plate in plates if plate.group == "right"], looks),
        examples("Wrong answers", [plate for plate in plates if plate.group == "wrong"], looks),
    ]


def asked(answers: Answers) -> Html:
    """Say whose answers to which clips follow."""
    clips = f"{len(answers.each)} clips of the {answers.split} split of "
    return tag(
        "p",
        f"From here on: the best checkpoint's answers to the {clips}",
        where(answers.store.root),
    )


def classes(scores: Sequence[ClassScore], mark: str = "") -> Html:
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
    return section("Classes", table(CLASSES, rows))


def subjects(answers: Answers, mark: str = "") -> Html:
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
        for s in subject_scores(answers)
    ]
    explained = tag("p", f"{len(rows)} subjects, the worst first; the interval is Wilson's.")
    more = table(SUBJECTS, rows[FIRST:])
    rest = tag("details", tag("summary", f"{len(rows) - FIRST} more"), more)
    folded = [rest] if len(rows) > FIRST else []
    return section("Subjects", explained, table(SUBJECTS, rows[:FIRST]), *folded)


def examples(title: str, plates: Sequence[Plate], looks: bool) -> Html:
    """Return clips with what the network looked at, where it looks."""
    if not plates:
        return section(title, note("None is shown."))
    seen = "A glimpse is an attention over the cells of the face map, and sums to one."
    explained = tag(
        "p",
        "Drawn by lot. The box is the speaker's face where that is known. ",
        seen if looks else "This network has no attention.",
    )
    return section(title, explained, *(photograph(p.figure, p.caption) for p in plates))


def unanswered(run: Run, why: str, mark: str = "") -> Html:
    """Return what results.json alone says of the classes, and why there is no more."""
    start = "test/accuracy_"
    rows = [
        (name.removeprefix(start), marked(bar(value), mark) if value is not None else "-")
        for name, value in run.results.items()
        if name.startswith(start)
    ]
    explained = note("Without confusion matrix, subjects and clips: ", why)
    return section("Classes", explained, *([table(("class", "recall"), rows)] if rows else []))
