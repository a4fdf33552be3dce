"""Scores of out-of-fold predictions: of settings side by side, by class, subject and attribute.

Two conventions are in use. *Over all clips*, the predictions of all folds are scored together; the
*mean over folds* is that of the score of each fold. Both are means over repetitions, such as seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Shaped

from avfusion.corpora.table import ATTRIBUTE_PREFIX, TAKE_COLUMN
from avfusion.data.store import Store
from avfusion.evaluation.out_of_fold import Pooled, group_subjects
from avfusion.evaluation.subject_bootstrap import (
    SCORES,
    Counts,
    combine_p_values,
    correct_holm,
    draw_subjects,
    find_difference_p,
    find_interval,
    find_mcnemar_p,
    resample_recalls,
    resample_scores,
    score_counts,
)

RANKING_SCORE = SCORES[0]


class PooledScore(NamedTuple):
    """A score over all clips with its interval, and as a mean over folds with the deviation."""

    value: float
    low: float
    high: float
    fold_mean: float
    fold_std: float


class Gap(NamedTuple):
    """Distance of a setting from the best one, and two tests of that, corrected by Holm.

    ``p`` is by bootstrap over subjects, ``mcnemar_p`` by McNemar's test over clips.
    """

    value: float
    low: float
    high: float
    p: float
    mcnemar_p: float


class GroupScore(NamedTuple):
    """Scores of a group of clips: those of a subject, or with some value of an attribute."""

    kind: str
    name: str
    clips: int
    war: float
    uar: float
    war_interval: tuple[float, float] | None = None
    uar_interval: tuple[float, float] | None = None


class ClassScore(NamedTuple):
    """Scores of a class, and the class that its clips are most often mistaken for."""

    name: str
    clips: int
    recall: float
    interval: tuple[float, float]
    precision: float
    f1: float
    mistaken_for: str


class PooledRow(NamedTuple):
    """A setting with its scores; ``loses`` where the probe of its own streams has a higher UAR."""

    pooled: Pooled
    scores: dict[str, PooledScore]
    worst: GroupScore
    gap: Gap | None = None
    loses: bool = False

    @property
    def name(self) -> str:
        """Name of the setting."""
        return self.pooled.name


def score_settings(settings: Sequence[Pooled]) -> list[PooledRow]:
    """Score settings, the one with the highest UAR first, and compare the others with it."""
    resampled = [_resample(one) for one in settings]
    rows = [
        PooledRow(one, score_pooled(one, samples), score_subjects(one)[0])
        for one, samples in zip(settings, resampled, strict=True)
    ]
    order = sorted(range(len(rows)), key=lambda n: -rows[n].scores[RANKING_SCORE].value)
    rows, resampled = [rows[n] for n in order], [resampled[n] for n in order]

    gaps = {}
    for number in range(1, len(rows)):
        if rows[number].pooled.has_same_clips(rows[0].pooled):
            samples = resampled[0][RANKING_SCORE] - resampled[number][RANKING_SCORE]
            gaps[number] = _compare(rows[0], rows[number], samples)
    by_bootstrap = correct_holm({str(number): gap.p for number, gap in gaps.items()})
    by_mcnemar = correct_holm({str(number): gap.mcnemar_p for number, gap in gaps.items()})

    return [
        row._replace(
            gap=gaps[number]._replace(
                p=by_bootstrap[str(number)], mcnemar_p=by_mcnemar[str(number)]
            )
            if number in gaps
            else None,
            loses=loses_to_probe(row, rows),
        )
        for number, row in enumerate(rows)
    ]


def find_best_network(rows: Sequence[PooledRow]) -> PooledRow | None:
    """Find the best row that is a network, neither a baseline nor an ensemble."""
    return next((row for row in rows if row.pooled.predictor == "network"), None)


def _resample(pooled: Pooled) -> dict[str, Float64[np.ndarray, "samples"]]:
    subject_numbers, names = group_subjects(pooled)
    return resample_scores(pooled.count_by(subject_numbers, len(names)), draw_subjects(len(names)))


def score_pooled(
    pooled: Pooled, samples: Mapping[str, Float64[np.ndarray, "samples"]]
) -> dict[str, PooledScore]:
    """Score a setting by both conventions; ``samples`` are its scores by draw of subjects."""
    whole = _mean_scores(pooled.count_by(np.zeros(len(pooled), np.int64), 1))
    folds = _mean_scores(pooled.count_by(pooled.folds, len(pooled.fold_names)))
    scores = {}
    for name in SCORES:
        each = folds[name][np.isfinite(folds[name])]
        deviation = float(each.std(ddof=1)) if len(each) > 1 else float("nan")
        value, interval = float(whole[name][0]), find_interval(samples[name])
        scores[name] = PooledScore(value, *interval, float(each.mean()), deviation)
    return scores


def _mean_scores(counts: Sequence[Counts]) -> dict[str, Float64[np.ndarray, "groups"]]:
    """Mean over repetitions of the scores of each group; NaN of a group without clips."""
    with np.errstate(invalid="ignore", divide="ignore"):
        every = [score_counts(one) for one in counts]
    return {name: np.mean([one[name] for one in every], axis=0) for name in SCORES}


def _compare(best: PooledRow, other: PooledRow, samples: Float64[np.ndarray, "samples"]) -> Gap:
    """Compare a setting with the best on the same draws of subjects, and clip by clip."""
    value = best.scores[RANKING_SCORE].value - other.scores[RANKING_SCORE].value
    ours, theirs = best.pooled.correct, other.pooled.correct
    sizes = (len(ours), len(theirs))
    pairs = max(sizes) if min(sizes) == 1 else min(sizes)  # a single one is compared with each
    p_values = [find_mcnemar_p(ours[n % len(ours)], theirs[n % len(theirs)]) for n in range(pairs)]
    return Gap(
        value, *find_interval(samples), find_difference_p(samples), combine_p_values(p_values)
    )


def loses_to_probe(row: PooledRow, rows: Sequence[PooledRow]) -> bool:
    """Whether a network is behind a baseline of no other streams than it reads itself."""
    if row.pooled.predictor == "baseline":
        return False
    return any(
        other.pooled.predictor == "baseline"
        and other.pooled.streams <= row.pooled.streams
        and other.pooled.has_same_clips(row.pooled)
        and other.scores[RANKING_SCORE].value > row.scores[RANKING_SCORE].value
        for other in rows
    )


def score_subjects(pooled: Pooled) -> list[GroupScore]:
    """Score the clips of each subject, the worst first."""
    subject_numbers, names = group_subjects(pooled)
    scores = _mean_scores(pooled.count_by(subject_numbers, len(names)))
    clips = np.bincount(subject_numbers, minlength=len(names))
    rows = [
        GroupScore("subject", name, int(n), float(war), float(uar))
        for name, n, war, uar in zip(names, clips, scores["WAR"], scores["UAR"], strict=True)
    ]
    return sorted(rows, key=lambda row: (row.war, row.name))


def score_attributes(
    pooled: Pooled, attributes: Mapping[str, Sequence[str | None]]
) -> list[GroupScore]:
    """Score the clips with each value of some attributes, which are given clip by clip."""
    subject_numbers, names = group_subjects(pooled)
    draws = draw_subjects(len(names))
    rows = []
    for attribute, values in attributes.items():
        for value in sorted({value for value in values if value}):
            selected = np.array([one == value for one in values])
            part = take_clips(pooled, selected)
            counts = part.count_by(subject_numbers[selected], len(names))
            whole = _mean_scores(part.count_by(np.zeros(len(part), np.int64), 1))
            samples = resample_scores(counts, draws)
            rows.append(
                GroupScore(
                    attribute,
                    value,
                    len(part),
                    float(whole["WAR"][0]),
                    float(whole["UAR"][0]),
                    find_interval(samples["WAR"]),
                    find_interval(samples["UAR"]),
                )
            )
    return rows


def take_clips(pooled: Pooled, selected: Bool[np.ndarray, "clips"]) -> Pooled:
    """Select some clips."""
    parts = ("clip_ids", "subjects", "targets", "folds")
    own = {name: getattr(pooled, name)[selected] for name in parts}
    return replace(pooled, outputs=pooled.outputs[:, selected], **own)


def read_attributes(
    clip_ids: Shaped[np.ndarray, "clips"], store: Store
) -> dict[str, list[str | None]]:
    """Read the attributes of the clips that a store knows any of, but for their takes."""
    names = (name for name in store.index.names if name.startswith(ATTRIBUTE_PREFIX))
    columns = [name for name in names if name != TAKE_COLUMN]
    rows = {str(name): row for row, name in enumerate(store.texts("clip_id"))}
    known = [rows.get(clip) for clip in clip_ids.tolist()]
    return {
        column.removeprefix(ATTRIBUTE_PREFIX): [
            None if row is None else values[row] for row in known
        ]
        for column in columns
        for values in [store.texts(column)]
    }


def score_classes(pooled: Pooled) -> list[ClassScore]:
    """Score each class, over all clips, with intervals of its recall over subjects."""
    subject_numbers, subjects = group_subjects(pooled)
    counts = pooled.count_by(subject_numbers, len(subjects))
    samples = resample_recalls(counts, draw_subjects(len(subjects)))
    mistakes = count_confusions(pooled).astype(float)
    np.fill_diagonal(mistakes, 0)

    rows = []
    for number, name in enumerate(pooled.output_names):
        scores = [_score_class(*(int(part[:, number].sum()) for part in one)) for one in counts]
        recall, precision, f1 = np.mean(scores, axis=0).tolist()
        other = int(mistakes[number].argmax())
        confused_with = pooled.output_names[other] if mistakes[number, other] else ""
        clips = int(counts[0].true[:, number].sum())
        interval = find_interval(samples[:, number])
        rows.append(ClassScore(name, clips, recall, interval, precision, f1, confused_with))
    return rows


def _score_class(true: int, found: int, predicted: int) -> tuple[float, float, float]:
    nan = float("nan")
    return (
        found / true if true else nan,
        found / predicted if predicted else 0.0 if true else nan,
        2 * found / (true + predicted) if true + predicted else nan,
    )


def count_confusions(pooled: Pooled) -> Int64[np.ndarray, "true predicted"]:
    """Count how many clips of each class are taken for which, over all repetitions."""
    classes = len(pooled.output_names)
    pairs = (classes * pooled.targets + pooled.predicted).reshape(-1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
