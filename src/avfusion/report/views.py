"""Views of predictions, by the kind of target: what a page shows of classes and of numbers."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from avfusion.evaluation.predictions import Predictions
from avfusion.figures.predictions import confusion_figure
from avfusion.figures.scatter import scatter_figure
from avfusion.report.figures import PageFigure
from avfusion.report.scores import (
    ClassScore,
    NumberScore,
    SubjectError,
    SubjectScore,
    count_confusions,
    measure_subject_errors,
    score_classes,
    score_each_number,
    score_subjects,
)


class View(NamedTuple):
    """What a page shows of predictions.

    ``template`` holds the tables of ``scores`` and ``subjects``. ``headline`` is a metric and its
    value, to compare with results.json. ``examples`` are clips, by the title of their section.
    """

    template: str
    headline: tuple[str, float]
    plots: list[PageFigure]
    scores: Sequence[ClassScore] | Sequence[NumberScore]
    subjects: Sequence[SubjectScore] | Sequence[SubjectError]
    examples: dict[str, list[int]]


def view_classes(predictions: Predictions, examples: int) -> View:
    """View predicted classes; the examples are drawn by lot, always the same ones."""
    exclusive, plots = predictions.target.exclusive, []
    if "confusion" in predictions.target.plots:
        figure = confusion_figure(count_confusions(predictions), predictions.output_names)
        plots = [PageFigure("confusion", f"What the {_clips(predictions)} are taken for.", figure)]

    drawn = {}
    for title, chosen in (("Correct", predictions.right), ("Incorrect", ~predictions.right)):
        clips = np.flatnonzero(chosen)
        lot = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0))[:examples]
        drawn[f"{title} predictions"] = clips[lot.numpy()].tolist()

    return View(
        "classes.html",
        ("accuracy" if exclusive else "subset_accuracy", float(predictions.right.mean())),
        plots,
        score_classes(predictions),
        score_subjects(predictions),
        drawn,
    )


def view_numbers(predictions: Predictions, examples: int) -> View:
    """View predicted numbers; the examples are those of smallest and of largest mean error."""
    true, predicted = torch.from_numpy(predictions.targets), predictions.predict()
    figure = scatter_figure(true, predicted, predictions.output_names)
    caption = f"Predicted over true numbers of the {_clips(predictions)}."
    scores = score_each_number(predictions)

    order = (predicted - true).abs().nanmean(dim=1).argsort(stable=True).tolist()
    nearest = order[:examples]
    farthest = [number for number in reversed(order) if number not in nearest][:examples]

    return View(
        "numbers.html",
        ("ccc", float(np.mean([score.ccc for score in scores]))),
        [PageFigure("scatter", caption, figure)],
        scores,
        measure_subject_errors(predictions),
        {"Smallest errors": nearest, "Largest errors": farthest},
    )


VIEWS: dict[str, Callable[[Predictions, int], View]] = {
    "single_label": view_classes,
    "multi_label": view_classes,
    "continuous": view_numbers,
}


def _clips(predictions: Predictions) -> str:
    return f"{len(predictions)} clips of the {predictions.split} split"
