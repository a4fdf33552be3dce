"""Views of predictions, by the kind of target: what a page shows of classes and of numbers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from avfusion.evaluation.predictions import Predictions
from avfusion.figures.predictions import confusion_figure
from avfusion.figures.scatter import scatter_figure
from avfusion.report.figures import PageFigure
from avfusion.report.scores import (
    ScoreTable,
    count_confusions,
    measure_subject_errors,
    score_classes,
    score_each_number,
    score_subjects,
)
from avfusion.training.metrics.agreement import Agreement


class View(NamedTuple):
    """View of predictions on a page.

    ``headline`` is a metric and its value, to compare with results.json. ``plots`` stand above the
    first table. ``examples`` are clips, by the title of their section.
    """

    headline: tuple[str, float]
    plots: list[PageFigure]
    tables: list[ScoreTable]
    examples: dict[str, list[int]]


def view_classes(predictions: Predictions, examples: int) -> View:
    """View predicted classes; the examples are drawn at random, always the same ones."""
    plots = []
    if "confusion" in predictions.target.plots:
        figure = confusion_figure(count_confusions(predictions), predictions.output_names)
        plots = [PageFigure("confusion", "Confusion matrix.", figure)]

    drawn = {}
    for title, chosen in (("Correct", predictions.correct), ("Incorrect", ~predictions.correct)):
        clips = np.flatnonzero(chosen)
        lot = torch.randperm(len(clips), generator=torch.Generator().manual_seed(0))[:examples]
        drawn[f"{title} predictions"] = clips[lot.numpy()].tolist()

    metric = "accuracy" if predictions.target.exclusive else "subset_accuracy"
    headline = (metric, float(predictions.correct.mean()))
    tables = [score_classes(predictions), score_subjects(predictions)]

    return View(headline, plots, tables, drawn)


def view_numbers(predictions: Predictions, examples: int) -> View:
    """View predicted numbers; the examples are those of smallest and of largest mean error."""
    true, predicted = torch.from_numpy(predictions.targets), predictions.predict()
    agreement = Agreement(predictions.output_names)
    agreement.update(preds=predicted, target=true)
    headline = ("ccc", float(agreement.compute()["ccc"]))
    figure = scatter_figure(true, predicted, predictions.output_names)
    plots = [PageFigure("scatter", "Predicted over true numbers.", figure)]

    order = (predicted - true).abs().nanmean(dim=1).argsort(stable=True).tolist()
    nearest = order[:examples]
    farthest = [number for number in reversed(order) if number not in nearest][:examples]

    tables = [score_each_number(predictions), measure_subject_errors(predictions)]

    return View(headline, plots, tables, {"Smallest errors": nearest, "Largest errors": farthest})


VIEWS: dict[str, Callable[[Predictions, int], View]] = {
    "single_label": view_classes,
    "multi_label": view_classes,
    "continuous": view_numbers,
}
