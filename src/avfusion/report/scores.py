"""Tables of scores by class, by predicted number and by subject, counted from predictions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from scipy import stats

from avfusion.corpora.spelling import normalize_name
from avfusion.evaluation.predictions import Predictions
from avfusion.training.metrics.agreement import score_numbers


class ScoreTable(NamedTuple):
    """Rows of a name, a number of clips and scores; None where no clip defines a score."""

    title: str
    intro: str
    head: Sequence[str]
    rows: list[tuple[object, ...]]


def count_confusions(predictions: Predictions) -> Int64[np.ndarray, "true predicted"]:
    """Count how many clips of each class are taken for which; of clips with one class each."""
    classes = len(predictions.output_names)
    pairs = classes * predictions.targets + predictions.outputs.argmax(axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def score_classes(predictions: Predictions) -> ScoreTable:
    """Score each class, and find the class that it is most often mistaken for."""
    names, true, predicted = predictions.output_names, predictions.true, predictions.predicted
    confusions = np.zeros((len(names), len(names)), int)
    if predictions.target.exclusive:
        confusions = count_confusions(predictions)
        np.fill_diagonal(confusions, 0)

    rows: list[tuple[object, ...]] = []

    for number, name in enumerate(names):
        both = int((true & predicted)[:, number].sum())
        clips, taken = int(true[:, number].sum()), int(predicted[:, number].sum())
        precision = both / taken if taken else None
        recall = both / clips if clips else None
        f1 = 2 * both / (clips + taken) if clips + taken else None
        other = int(confusions[number].argmax())
        count = confusions[number, other]
        rows.append(
            (name, clips, precision, recall, f1, f"{names[other]} ({count})" if count else None)
        )

    head = ("class", "clips", "precision", "recall", "F1", "most often mistaken for")

    return ScoreTable("Classes", _describe_clips(predictions), head, rows)


def score_each_number(predictions: Predictions) -> ScoreTable:
    """Score each number that is known of some clip."""
    true, predicted = torch.from_numpy(predictions.targets), predictions.predict()
    rows: list[tuple[object, ...]] = []
    for name, x, y in zip(predictions.output_names, true.T, predicted.T, strict=True):
        clips = int((~x.isnan()).sum())
        if clips:
            scores = score_numbers(y, x)
            rows.append(
                (name, clips, *(scores[metric] for metric in ("ccc", "pcc", "rmse", "mae")))
            )

    head = ("number", "clips", "CCC", "PCC", "RMSE", "MAE")

    return ScoreTable("Numbers", _describe_clips(predictions), head, rows)


def score_subjects(predictions: Predictions) -> ScoreTable:
    """Score the clips of each subject, the worst first, with intervals (Wilson, 1927)."""
    rows = []
    for name, clips in _each_subject(predictions):
        correct = int(predictions.correct[clips].sum())
        low, high = stats.binomtest(correct, len(clips)).proportion_ci(method="wilson")
        accuracy, interval = correct / len(clips), f"{low:.3f} to {high:.3f}"
        rows.append((name, len(clips), correct, accuracy, interval, _mean_hit(predictions, clips)))

    rows.sort(key=lambda row: (row[3], row[0]))

    intro = f"{len(rows)} subjects, the worst first; the interval is Wilson's."
    if not predictions.target.exclusive:
        intro += " A clip is correct where none of its classes is wrong."
    head = ("subject", "clips", "correct", "accuracy", "95 % interval", "attention hit")

    return ScoreTable("Subjects", intro, head, [*rows])


def measure_subject_errors(predictions: Predictions) -> ScoreTable:
    """Measure the errors over the clips of each subject, the largest first."""
    errors = predictions.predict().double().numpy() - predictions.targets
    rows = []
    for name, clips in _each_subject(predictions):
        rmse = float(np.sqrt(np.nanmean(errors[clips] ** 2)))
        mae = float(np.nanmean(np.abs(errors[clips])))
        rows.append((name, len(clips), rmse, mae, _mean_hit(predictions, clips)))

    rows.sort(key=lambda row: (-row[2], row[0]))

    intro = f"{len(rows)} subjects, the largest error first; over all numbers."
    head = ("subject", "clips", "RMSE", "MAE", "attention hit")

    return ScoreTable("Subjects", intro, head, [*rows])


def _describe_clips(predictions: Predictions) -> str:
    clips = f"{len(predictions)} clips of the {predictions.split} split of {predictions.store}"
    return f"What the tested checkpoint predicts for the {clips}."


def _each_subject(predictions: Predictions) -> Iterator[tuple[str, list[int]]]:
    groups = defaultdict(list)
    for number, subject in enumerate(predictions.subjects.tolist()):
        groups[normalize_name(subject)].append(number)
    for clips in groups.values():
        yield str(predictions.subjects[clips[0]]), clips


def _mean_hit(predictions: Predictions, clips: list[int]) -> float | None:
    if predictions.glimpses is None:
        return None
    hits = predictions.glimpses.attention_hit[clips]
    known = hits[~np.isnan(hits)]
    return float(known.mean()) if len(known) else None
