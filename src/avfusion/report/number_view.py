"""Predicted numbers on a page: a scatter plot, a row per name, a row per subject."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from avfusion.corpora.spelling import canonical
from avfusion.evaluation.predictions import Predictions
from avfusion.figures.scatter import scatter_figure
from avfusion.report.markup import Html, folded_table, marked, section, table, tag
from avfusion.report.scores import mean_hit
from avfusion.training.metrics.agreement import Agreement, score_numbers

NUMBERS = ("number", "clips", "CCC", "PCC", "RMSE", "MAE")
SUBJECTS = ("subject", "clips", "RMSE", "MAE", "attention on the speaker")


class NumberView:
    """What a page shows of predictions of numbers."""

    title = "Numbers"
    choice = "Those whose numbers are nearest to the true ones, and those farthest from them."
    each = ("ccc", "number", "CCC")

    def headline(self, predictions: Predictions) -> tuple[str, float]:
        """Return the mean CCC."""
        return "ccc", score_all(predictions)["ccc"]

    def figures(self, predictions: Predictions) -> list[tuple[str, str, Figure]]:
        """Return the scatter plot."""
        true, predicted = pairs_of(predictions)
        clips = f"{len(predictions)} clips of the {predictions.split} split"
        figure = scatter_figure(true, predicted, predictions.class_names)
        return [("scatter", f"Predicted over true numbers of the {clips}.", figure)]

    def examples(self, predictions: Predictions, most: int) -> dict[str, list[int]]:
        """Return the clips of the smallest and of the largest mean absolute error."""
        true, predicted = pairs_of(predictions)
        order = (predicted - true).abs().nanmean(dim=1).argsort(stable=True).tolist()
        nearest = order[:most]
        farthest = [place for place in reversed(order) if place not in nearest][:most]
        return {"nearest": nearest, "farthest": farthest}

    def sections(
        self, predictions: Predictions, intro: Html, drawn: Sequence[Html], mark: str = ""
    ) -> list[Html]:
        """Return the scores of each number and of each subject."""
        rows = number_rows(predictions)
        numbers = table(NUMBERS, [(*r[:2], *(marked(v, mark) for v in r[2:])) for r in rows])
        subjects = subject_rows(predictions)
        people = [(*r[:2], *(marked(v, mark) for v in r[2:])) for r in subjects]
        explained = f"{len(subjects)} subjects, the largest error first; over all numbers."
        return [
            section(self.title, intro, *drawn, numbers),
            section("Subjects", tag("p", explained), folded_table(SUBJECTS, people)),
        ]


def pairs_of(
    predictions: Predictions,
) -> tuple[Float[Tensor, "clips names"], Float[Tensor, "clips names"]]:
    """Return true and predicted numbers."""
    return torch.from_numpy(predictions.targets), predictions.predict()


def score_all(predictions: Predictions) -> dict[str, float]:
    """Return the scores of all clips under the names of the metrics."""
    true, predicted = pairs_of(predictions)
    metric = Agreement(predictions.class_names)
    metric.update(preds=predicted, target=true)
    return {name: float(value) for name, value in metric.compute().items()}


def number_rows(predictions: Predictions) -> list[tuple[str, int, float, float, float, float]]:
    """Return name, clips, CCC, PCC, RMSE and MAE of each number that is known of some clip."""
    rows = []
    for name, true, predicted in zip(
        predictions.class_names, *(numbers.T for numbers in pairs_of(predictions)), strict=True
    ):
        known = int((~true.isnan()).sum())
        if known:
            found = score_numbers(predicted, true)
            rows.append((name, known, found["ccc"], found["pcc"], found["rmse"], found["mae"]))
    return rows


def subject_rows(predictions: Predictions) -> list[tuple[str, int, float, float, float | None]]:
    """Return name, clips, RMSE, MAE and attention hit of each subject, the worst first."""
    true, predicted = (numbers.double().numpy() for numbers in pairs_of(predictions))
    errors, groups, rows = predicted - true, defaultdict(list), []
    for place, subject in enumerate(predictions.subjects.tolist()):
        groups[canonical(subject)].append(place)
    for places in groups.values():
        own = errors[places]
        name, hit = str(predictions.subjects[places[0]]), mean_hit(predictions, places)
        rmse, mae = float(np.sqrt(np.nanmean(own**2))), float(np.nanmean(np.abs(own)))
        rows.append((name, len(places), rmse, mae, hit))
    return sorted(rows, key=lambda row: (-row[2], row[0]))
