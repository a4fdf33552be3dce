"""Answers counted: by class, by subject."""

from collections import defaultdict
from typing import NamedTuple

import torch
from jaxtyping import Int64
from scipy import stats
from torch import Tensor

from avfusion.callbacks.confusion_matrix import confusions
from avfusion.corpora.spelling import canonical
from avfusion.metrics.pointing import PointingGame
from avfusion.predictions.answers import Answer
from avfusion.report.answers import Answers


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


def confusion(answers: Answers) -> Int64[Tensor, "true predicted"]:
    """Return how many clips of each class were taken for which."""
    return confusions(answers.probabilities, answers.labels)


def class_scores(counts: Int64[Tensor, "true predicted"], names: list[str]) -> list[ClassScore]:
    """Return precision, recall and F1 of each class; None where nothing defines one."""
    scores = []
    for number, name in enumerate(names):
        right, true, said = (
            int(some)
            for some in (counts[number, number], counts[number].sum(), counts[:, number].sum())
        )
        others = counts[number].clone()
        others[number] = 0
        most = int(others.max())
        mistaken = f"{names[int(others.argmax())]} ({most})" if most else ""
        f1 = 2 * right / (true + said) if true + said else None
        scores.append(ClassScore(name, true, part(right, said), part(right, true), f1, mistaken))
    return scores


def part(some: int, of: int) -> float | None:
    """Return a part of one, None of nothing."""
    return some / of if of else None


def subject_scores(answers: Answers) -> list[SubjectScore]:
    """Return the scores of each subject, the worst first; the interval is Wilson's, 1927."""
    right = (answers.probabilities.argmax(dim=1) == answers.labels).tolist()
    groups = defaultdict(list)
    for answer, good in zip(answers.each, right, strict=True):
        groups[canonical(answer.clip["subject"])].append((answer, good))
    scores = []
    for group in groups.values():
        name = group[0][0].clip["subject"]
        clips, good = len(group), sum(good for _, good in group)
        low, high = stats.binomtest(good, clips).proportion_ci(method="wilson")
        hit = attention_hit(answers, [answer for answer, _ in group])
        scores.append(SubjectScore(name, clips, good, good / clips, float(low), float(high), hit))
    return sorted(scores, key=lambda score: (score.accuracy, score.name))


def attention_hit(answers: Answers, some: list[Answer]) -> float | None:
    """Return the part of some clips whose attention is largest on the speaker, where known."""
    looks = [answer.glimpses for answer in some if answer.glimpses is not None]
    if len(looks) < len(some):
        return None
    game = PointingGame()
    boxes = torch.from_numpy(answers.store.boxes[[answer.row for answer in some]])
    game.update(torch.stack(looks).cpu(), boxes)
    hit = game.compute().get("attention_hit")
    return None if hit is None else float(hit)
