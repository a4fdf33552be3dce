"""Scores of classes and of subjects, counted from predictions."""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64
from scipy import stats

from avfusion.corpora.spelling import canonical
from avfusion.evaluation.predictions import Predictions


class ClassScore(NamedTuple):
    """How well a class is found; ``mistaken`` is what else its clips are most often taken for."""

    name: str
    clips: int
    precision: float | None
    recall: float | None
    f1: float | None
    mistaken: str


class SubjectScore(NamedTuple):
    """How well the clips of a subject are answered, with the 95 % interval of the accuracy."""

    name: str
    clips: int
    right: int
    accuracy: float
    low: float
    high: float
    attention_hit: float | None


def count_confusions(predictions: Predictions) -> Int64[np.ndarray, "true predicted"]:
    """Count how many clips of each class are taken for which; of clips with one class each."""
    classes = len(predictions.class_names)
    pairs = classes * predictions.targets + predictions.outputs.argmax(axis=1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def class_scores(predictions: Predictions) -> list[ClassScore]:
    """Return precision, recall and F1 of each class; None where nothing defines one."""
    true, said = predictions.true, predictions.predicted
    both, occurring, named = ((true & said).sum(0), true.sum(0), said.sum(0))
    mistaken = most_mistaken(predictions) if predictions.target.exclusive else [""] * len(true.T)
    scores = []
    for number, name in enumerate(predictions.class_names):
        right, clips, taken = int(both[number]), int(occurring[number]), int(named[number])
        f1 = part(2 * right, clips + taken)
        scores.append(
            ClassScore(name, clips, part(right, taken), part(right, clips), f1, mistaken[number])
        )
    return scores


def most_mistaken(predictions: Predictions) -> list[str]:
    """Return for each class which other one its clips are most often taken for, and how often."""
    counts = count_confusions(predictions)
    np.fill_diagonal(counts, 0)
    most, names = counts.argmax(axis=1), predictions.class_names
    return [
        f"{names[other]} ({row[other]})" if row[other] else ""
        for row, other in zip(counts, most, strict=True)
    ]


def part(some: int, of: int) -> float | None:
    """Return a part of one, None of nothing."""
    return some / of if of else None


def subject_scores(predictions: Predictions) -> list[SubjectScore]:
    """Return the scores of each subject, the worst first; the interval is Wilson's, 1927."""
    groups = defaultdict(list)
    for place, subject in enumerate(predictions.subjects.tolist()):
        groups[canonical(subject)].append(place)
    right, scores = predictions.right, []
    for places in groups.values():
        name = str(predictions.subjects[places[0]])
        clips, good = len(places), int(right[places].sum())
        low, high = stats.binomtest(good, clips).proportion_ci(method="wilson")
        hit = mean_hit(predictions, places)
        scores.append(SubjectScore(name, clips, good, good / clips, float(low), float(high), hit))
    return sorted(scores, key=lambda score: (score.accuracy, score.name))


def mean_hit(predictions: Predictions, places: list[int]) -> float | None:
    """Return the part of some clips whose attention is largest on the speaker, where known."""
    if predictions.glimpses is None:
        return None
    hits = predictions.glimpses.attention_hit[places]
    known = hits[~np.isnan(hits)]
    return float(known.mean()) if len(known) else None
