"""Predicted classes on a page: confusions, a row per class, a row per subject."""

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure

from avfusion.evaluation.predictions import Predictions
from avfusion.figures.predictions import confusion_figure
from avfusion.report.markup import Html, bar, folded_table, marked, section, table, tag
from avfusion.report.scores import ClassScore, class_scores, count_confusions, subject_scores

CLASSES = ("class", "clips", "precision", "recall", "F1", "most often mistaken for")
SUBJECTS = ("subject", "clips", "right", "accuracy", "95 % interval", "attention on the speaker")


class ClassView:
    """What a page shows of predictions of one class, or of several, per clip."""

    title = "Classes"
    choice = "Drawn by lot."
    each = ("accuracy", "class", "recall")

    def headline(self, predictions: Predictions) -> tuple[str, float]:
        """Return the part of the clips that are right."""
        name = "accuracy" if predictions.target.exclusive else "subset_accuracy"
        return name, float(predictions.right.mean())

    def figures(self, predictions: Predictions) -> list[tuple[str, str, Figure]]:
        """Return the confusion matrix, where a clip has one class."""
        if "confusion" not in predictions.target.plots:
            return []
        figure = confusion_figure(count_confusions(predictions), predictions.class_names)
        clips = f"{len(predictions)} clips of the {predictions.split} split"
        return [("confusion", f"What the {clips} are taken for.", figure)]

    def examples(self, predictions: Predictions, most: int) -> dict[str, list[int]]:
        """Draw clips that are predicted rightly and wrongly by lot, always the same ones."""
        drawn = {}
        for group, those in (("right", predictions.right), ("wrong", ~predictions.right)):
            places = np.flatnonzero(those)
            lot = torch.randperm(len(places), generator=torch.Generator().manual_seed(0))[:most]
            drawn[group] = places[lot.numpy()].tolist()
        return drawn

    def sections(
        self, predictions: Predictions, intro: Html, drawn: Sequence[Html], mark: str = ""
    ) -> list[Html]:
        """Return confusions, where there are any, classes and subjects."""
        several = (
            ""
            if predictions.target.exclusive
            else tag("p", "A clip is right where none of its classes is wrong.")
        )
        matrix = [section("Confusion matrix", intro, *drawn)] if drawn else []
        above = [several] if drawn else [intro, several]
        scores = class_scores(predictions)
        return [*matrix, classes(scores, mark, above), subjects(predictions, mark)]


def classes(scores: Sequence[ClassScore], mark: str, intro: Sequence[str]) -> Html:
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
    explained = f"{len(rows)} subjects, the worst first; the interval is Wilson's."
    return section("Subjects", tag("p", explained), folded_table(SUBJECTS, rows))
