"""Runs grouped by setting and compared over seeds, and the runs that are excluded."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from avfusion.evaluation.directions import direction_of
from avfusion.evaluation.leak_marks import worst_leaks
from avfusion.evaluation.runs import OTHER, Run


class LeftOut(NamedTuple):
    """A run, what became of it in a word or two, and what more there is to say."""

    run: Run
    state: str
    why: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.run.folder}{self.why}"


def left_out(runs: Sequence[Run]) -> list[LeftOut]:
    """Return the runs that were pruned, failed, still run, or are repeated by newer ones."""
    found = []
    for run in runs:
        if run.pruned:
            found.append(LeftOut(run, "Pruned"))
        elif not run.results:
            why = f" ({' and '.join(run.broken)} half-written or broken)" if run.broken else ""
            why = f" ({run.failure})" if run.failure else why
            found.append(LeftOut(run, "Failed" if run.failed else "Not finished", why))
    older = repeated(runs)
    for run in runs:
        if run.folder in older:
            why = f", which {older[run.folder]} repeats and is newer"
            found.append(LeftOut(run, "Left out", why))
    return found


def ranked(runs: Sequence[Run], without: Sequence[LeftOut]) -> list[Run]:
    """Return the runs that a table does hold."""
    others = {one.run.folder for one in without}
    return [run for run in runs if run.folder not in others]


def repeated(runs: Sequence[Run]) -> dict[Path, Path]:
    """Return the runs that a newer one repeats, in setting and seed, with that one."""
    latest: dict[tuple[str, str], Run] = {}
    for run in sorted(runs, key=ended):
        if run.results and run.config:
            latest[run.setting, run.repetition] = run
    kept = {run.folder for run in latest.values()}
    return {
        run.folder: latest[run.setting, run.repetition].folder
        for run in runs
        if run.results and run.config and run.folder not in kept
    }


def ended(run: Run) -> float:
    """Return when the results of a run were written, zero where there are none."""
    path = run.folder / "results.json"
    return path.stat().st_mtime if path.is_file() else 0.0


# Overrides that a setting is repeated over.
REPEATED = re.compile(r"^\+*(seed|data\.seed|.*split_seed|.*fold|fold)=")


LEAST_RUNS = 3  # for an interval or a test: of two runs, Student's t makes the former 12.7 times sd


class Score(NamedTuple):
    """A metric of one setting over its runs; the interval is the half width of 95 %.

    What fewer runs than it takes would have to tell is not a number.
    """

    values: list[float]
    mean: float
    std: float
    interval: float
    p: float | None = None  # of being as good as the best setting
    higher_is_better: bool | None = None  # None: unknown


class Row(NamedTuple):
    """One setting."""

    name: str
    runs: list[Run]
    scores: dict[str, Score]

    @property
    def leaks(self) -> dict[str, int]:
        """The kinds of data leakage that its runs record, with their counts."""
        return worst_leaks([run.results for run in self.runs])


def compare(
    runs: Sequence[Run], metrics: Sequence[str], directions: Mapping[str, bool] | None = None
) -> list[Row]:
    """Return a row per setting of the runs that were tested, with a test against the best.

    The best setting of the first metric comes first, those without that metric last. Where nobody
    knows which way a metric is better, no setting is its best; ``directions`` says for metrics that
    are not in the catalog whether a higher value is better.
    """
    groups = defaultdict(list)
    for run in runs:
        if run.results and not run.pruned:
            groups[run.setting].append(run)
    names = name_settings(list(groups.values()))
    ways = {metric: direction_of(metric, runs, directions or {}) for metric in metrics}
    rows = [
        Row(name, group, {metric: score(group, metric, ways[metric]) for metric in metrics})
        for name, group in zip(names, groups.values(), strict=True)
    ]
    for metric in metrics:
        best = best_row(rows, metric)
        rows = [
            row._replace(scores=row.scores | {metric: tested(row, best, metric)}) for row in rows
        ]
    return sorted(rows, key=lambda row: rank_of(row, metrics[0])) if metrics else rows


def rank_of(row: Row, metric: str) -> float:
    """Return what rows are sorted by: the better, the less."""
    score = row.scores[metric]
    if not np.isfinite(score.mean):
        return float("inf")
    return score.mean * sign_of(score)


def sign_of(score: Score) -> int:
    """By what a mean is multiplied so that less is better; 0 where neither is."""
    return {True: -1, False: 1, None: 0}[score.higher_is_better]


def name_settings(groups: list[list[Run]]) -> list[str]:
    """Name each setting by the overrides that are not common to all."""
    chosen = [
        [o for o in group[0].overrides if not (REPEATED.match(o) or OTHER.match(o))]
        for group in groups
    ]
    common = set(chosen[0]).intersection(*chosen) if len(chosen) > 1 else set()
    return [" ".join(o for o in overrides if o not in common) or "default" for overrides in chosen]


def score(runs: Sequence[Run], metric: str, higher_is_better: bool | None) -> Score:
    """Return mean, standard deviation and Student's 95 % interval of a metric."""
    values = [run.results[metric] for run in runs if run.results.get(metric) is not None]
    mean, std, interval = float("nan"), float("nan"), float("nan")
    count = len(values)
    if count:
        mean = float(np.mean(values))
    if count > 1 and np.isfinite(mean):
        std = float(np.std(values, ddof=1))
    if count >= LEAST_RUNS and np.isfinite(mean):
        interval = float(stats.t.ppf(0.975, count - 1)) * std / count**0.5
    return Score(values, mean, std, interval, higher_is_better=higher_is_better)


def best_row(rows: Sequence[Row], metric: str) -> Row | None:
    """Return the setting with the best finite mean; None where no way is known to be better."""
    known = [row for row in rows if np.isfinite(row.scores[metric].mean)]
    if not known or known[0].scores[metric].higher_is_better is None:
        return None
    return min(known, key=lambda row: rank_of(row, metric))


def tested(row: Row, best: Row | None, metric: str) -> Score:
    """Return the score with the p-value of a paired t-test against the best setting.

    Pairs are runs of the same seed and fold; their differences are taken to be independent and
    normally distributed, which few seeds cannot show. No correction for many settings.
    """
    if best is None or row is best:
        return row.scores[metric]
    ours, theirs = (
        {run.repetition: run.results.get(metric) for run in some.runs} for some in (row, best)
    )
    common = [k for k in ours if None not in (ours[k], theirs.get(k))]
    gaps = np.array([ours[k] for k in common], float) - [theirs[k] for k in common]
    if len(gaps) < LEAST_RUNS or not np.isfinite(gaps).all() or not gaps.std() > 0:
        return row.scores[metric]
    p = stats.ttest_1samp(gaps, 0.0).pvalue
    return row.scores[metric]._replace(p=float(p))


def differences(one: Run, other: Run) -> list[tuple[str, Any, Any]]:
    """Return the keys of configuration and results that differ between two runs."""
    ours, theirs = one.config | one.results, other.config | other.results
    keys = [key for key in ours | theirs if not OTHER.match(key)]
    return [
        (key, ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)
    ]
