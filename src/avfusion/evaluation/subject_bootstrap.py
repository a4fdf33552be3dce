"""Scores of classes from counts of each subject, with intervals by bootstrap over subjects.

Clips of one subject are alike, so that what a test says about other people depends on how many
subjects it has, not on how many clips: subjects are drawn again with all of their clips (a cluster
bootstrap; Davison and Hinkley, Bootstrap Methods, 1997, section 3.8).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped
from scipy import stats

SAMPLES = 10_000  # draws of subjects
DRAWS_AT_ONCE = 500  # of 1,000 classes, whose counts are 12 MB then
SEED = 0
CONFIDENCE_LEVEL = 0.95
# Titles of the scores, the first of which settings are compared by.
SCORES = ("UAR", "WAR", "macro F1", "weighted F1")


class Counts(NamedTuple):
    """Numbers of clips of each class that there are, are found, and are predicted, by groups."""

    true: Shaped[np.ndarray, "*groups classes"]
    found: Shaped[np.ndarray, "*groups classes"]
    predicted: Shaped[np.ndarray, "*groups classes"]

    def with_floats(self) -> "Counts":
        """The same counts; their products are exact, and BLAS has none of whole numbers."""
        return Counts(*(part.astype(np.float64) for part in self))


def count_classes(
    true: Int64[np.ndarray, "clips"],
    predicted: Int64[np.ndarray, "clips"],
    groups: Int64[np.ndarray, "clips"],
    size: tuple[int, int],
) -> Counts:
    """Count the clips of each group; ``size`` is how many groups and classes there are."""

    def count(classes: Int64[np.ndarray, "some"], group: Shaped[np.ndarray, "some"]) -> np.ndarray:
        cells = group * size[1] + classes
        return np.bincount(cells, minlength=size[0] * size[1]).reshape(size)

    right = true == predicted
    return Counts(count(true, groups), count(true[right], groups[right]), count(predicted, groups))


def score_counts(counts: Counts) -> dict[str, Float64[np.ndarray, "*groups"]]:
    """Score counts, over the last axis: UAR, WAR, macro and weighted F1.

    A class without clips has no recall, and one that is neither there nor predicted no F1: means
    leave them out, as scikit-learn's do.
    """
    true, found, predicted = (np.asarray(part, float) for part in counts)
    clips = true.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = found / true
        f1 = 2 * found / (true + predicted)
        known, rated = true > 0, true + predicted > 0
        return {
            "UAR": np.where(known, recall, 0).sum(axis=-1) / known.sum(axis=-1),
            "WAR": found.sum(axis=-1) / clips,
            "macro F1": np.where(rated, f1, 0).sum(axis=-1) / rated.sum(axis=-1),
            "weighted F1": np.where(rated, f1 * true, 0).sum(axis=-1) / clips,
        }


def draw_subjects(
    subjects: int, samples: int = SAMPLES, seed: int = SEED
) -> Int64[np.ndarray, "samples subjects"]:
    """Draw as many subjects as there are, again and again: how often each one is drawn."""
    random = np.random.default_rng(seed)
    return random.multinomial(subjects, np.full(subjects, 1 / subjects), size=samples)


def resample_scores(
    counts: Sequence[Counts], draws: Int64[np.ndarray, "samples subjects"]
) -> dict[str, Float64[np.ndarray, "samples"]]:
    """Score each draw of subjects: the mean over repetitions, each with counts by subject."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in SCORES}
    counts = [one.with_floats() for one in counts]
    for some in _split(draws):
        every = [score_counts(Counts(*(some @ part for part in one))) for one in counts]
        for name in SCORES:
            parts[name].append(np.mean([scores[name] for scores in every], axis=0))
    return {name: np.concatenate(values) for name, values in parts.items()}


def resample_recalls(
    counts: Sequence[Counts], draws: Int64[np.ndarray, "samples subjects"]
) -> Float64[np.ndarray, "samples classes"]:
    """Recall of each class in each draw, the mean over repetitions; NaN without clips."""
    parts = []
    counts = [one.with_floats() for one in counts]
    with np.errstate(invalid="ignore", divide="ignore"):
        for some in _split(draws):
            parts.append(np.mean([some @ one.found / (some @ one.true) for one in counts], axis=0))
    return np.concatenate(parts)


def _split(draws: np.ndarray) -> Iterator[np.ndarray]:
    for first in range(0, len(draws), DRAWS_AT_ONCE):
        yield draws[first : first + DRAWS_AT_ONCE].astype(np.float64)


def find_interval(values: Float64[np.ndarray, "samples"]) -> tuple[float, float]:
    """Find the middle 95 % of the draws, those without a score left out."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return float(low), float(high)


def find_difference_p(gaps: Float64[np.ndarray, "samples"]) -> float:
    """Two-sided p-value of a difference, by how many draws are on the other side of zero."""
    beyond = 1 + min((gaps <= 0).sum(), (gaps >= 0).sum())
    return min(1.0, 2 * float(beyond) / (len(gaps) + 1))


def find_mcnemar_p(one: Bool[np.ndarray, "clips"], other: Bool[np.ndarray, "clips"]) -> float:
    """Exact p-value of McNemar's test (1947): of the clips that only one of two gets right.

    It takes clips to be independent, which those of one subject are not.
    """
    only_one, only_other = int((one & ~other).sum()), int((other & ~one).sum())
    if not only_one + only_other:
        return 1.0
    return float(stats.binomtest(only_one, only_one + only_other).pvalue)


def combine_p_values(values: Sequence[float]) -> float:
    """Combine p-values of one hypothesis that depend on each other: twice their (upper) median.

    Rueger 1978; Vovk and Wang, Biometrika 2020. Of one value it is that value.
    """
    middle = float(sorted(values)[len(values) // 2])
    return middle if len(values) == 1 else min(1.0, 2 * middle)


def correct_holm(values: Mapping[str, float]) -> dict[str, float]:
    """Correct the p-values of several hypotheses (Holm, 1979)."""
    corrected, largest = {}, 0.0
    for rank, name in enumerate(sorted(values, key=values.__getitem__)):
        largest = max(largest, min(1.0, (len(values) - rank) * values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in values}
