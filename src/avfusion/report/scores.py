"""Scores of classes, numbers and subjects, counted from predictions."""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from scipy import stats

from avfusion.corpora.spelling import canonical
from avfusion.evaluation.predictions import Predictions
from avfusion.training.metrics.agreement import score_numbers


class ClassScore(NamedTuple):
    """Scores of a class, and which other one its clips are most often taken for, how often."""

    name: str
    clips: int
    precision: float | None
    recall: float | None
    f1: float | None
    confused_with: str


class NumberScore(NamedTuple):
    """Scores of a predicted number over the clips of which it is known."""

    name: str
    clips: int
    ccc: float
    pcc: float
    rmse: float
    mae: float


class SubjectScore(NamedTuple):
    """Accuracy over the clips of a subject, with its 95 % interval (Wilson, 1927)."""

    name: str
    clips: int
    correct: int
    accuracy: float
    low: float
    high: float
    attention_hit: float | None


class SubjectError(NamedTuple):
    """Errors of the predicted numbers of a subject, over all numbers."""

    name: str
    clips: int
    rmse: float
    mae: float
    attention_hit: float | None


def count_confusions(predictions: Predictions) -> Int64[np.ndarray, "true predicted"]:
    """Count how many clips of each class are taken for which; of clips with one class each."""
    classes = len(predictions.output_names)
    pairs = classes * predictions.targets + predictions.outputs.argmax(axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def score_classes(predictions: Predictions) -> list[ClassScore]:
    """Score each class; None where no clip defines a score."""
    true, predicted, names = predictions.true, predictions.predicted, predictions.output_names
    confusions = np.zeros((len(names), len(names)), int)
    if predictions.target.exclusive:
        confusions = count_confusions(predictions)
        np.fill_diagonal(confusions, 0)

    scores = []
    for number, name in enumerate(names):
        both = int((true & predicted)[:, number].sum())
        clips, taken = int(true[:, number].sum()), int(predicted[:, number].sum())
        other = int(confusions[number].argmax())
        count = confusions[number, other]
        scores.append(
            ClassScore(
                name,
                clips,
                precision=both / taken if taken else None,
                recall=both / clips if clips else None,
                f1=2 * both / (clips + taken) if clips + taken else None,
                confused_with=f"{names[other]} ({count})" if count else "",
            )
        )
    return scores


def score_each_number(predictions: Predictions) -> list[NumberScore]:
    """Score each number that is known of some clip."""
    scores = []
    true, predicted = torch.from_numpy(predictions.targets), predictions.predict()
    for name, x, y in zip(predictions.output_names, true.T, predicted.T, strict=True):
        clips = int((~x.isnan()).sum())
        if clips:
            scores.append(NumberScore(name, clips, **score_numbers(y, x)))
    return scores


def score_subjects(predictions: Predictions) -> list[SubjectScore]:
    """Score the clips of each subject, the worst first."""
    scores = []
    for name, clips in _each_subject(predictions):
        correct = int(predictions.right[clips].sum())
        low, high = stats.binomtest(correct, len(clips)).proportion_ci(method="wilson")
        accuracy, hit = correct / len(clips), _mean_hit(predictions, clips)
        scores.append(
            SubjectScore(name, len(clips), correct, accuracy, float(low), float(high), hit)
        )
    return sorted(scores, key=lambda score: (score.accuracy, score.name))


def measure_subject_errors(predictions: Predictions) -> list[SubjectError]:
    """Measure the errors over the clips of each subject, the largest first."""
    errors = predictions.predict().double().numpy() - predictions.targets
    rows = []
    for name, clips in _each_subject(predictions):
        rmse = float(np.sqrt(np.nanmean(errors[clips] ** 2)))
        mae = float(np.nanmean(np.abs(errors[clips])))
        rows.append(SubjectError(name, len(clips), rmse, mae, _mean_hit(predictions, clips)))
    return sorted(rows, key=lambda row: (-row.rmse, row.name))


def _each_subject(predictions: Predictions) -> Iterator[tuple[str, list[int]]]:
    groups = defaultdict(list)
    for number, subject in enumerate(predictions.subjects.tolist()):
        groups[canonical(subject)].append(number)
    for clips in groups.values():
        yield str(predictions.subjects[clips[0]]), clips


def _mean_hit(predictions: Predictions, clips: list[int]) -> float | None:
    if predictions.glimpses is None:
        return None
    hits = predictions.glimpses.attention_hit[clips]
    known = hits[~np.isnan(hits)]
    return float(known.mean()) if len(known) else None
