"""Aggregates of runs: grouped by setting, compared over seeds, with a list of excluded runs."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from avfusion.evaluation.directions import find_direction
from avfusion.evaluation.leak_marks import find_worst_leaks
from avfusion.evaluation.runs import IGNORED_KEYS, Run

# Overrides that a setting is repeated over.
REPEATED_OVERRIDE = re.compile(r"^\+*(seed|data\.seed|.*split_seed|.*fold|fold)=")
MAX_NAME = 100  # characters, as wide as a table on a screen
# For an interval or a test: of two runs, Student's t makes the former 12.7 times the deviation.
MIN_RUNS = 3


class Exclusion(NamedTuple):
    """A run that no table holds, its state (Pruned, Failed, Not finished, ...) and the reason."""

    run: Run
    state: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.state}: {self.run.folder}{self.reason}"


def find_exclusions(runs: Sequence[Run]) -> list[Exclusion]:
    """Find the runs that were pruned, failed, have not finished, or are repeated by newer ones."""
    exclusions = []
    for run in runs:
        if run.pruned:
            exclusions.append(Exclusion(run, "Pruned"))
        elif not run.results:
            reason = f" ({' and '.join(run.broken)} half-written or broken)" if run.broken else ""
            reason = f" ({run.failure})" if run.failure else reason
            state = "Failed" if run.failed else "Not finished"
            exclusions.append(Exclusion(run, state, reason))

    replaced = _find_replaced(runs)
    for run in runs:
        if run.folder in replaced:
            reason = f", because {replaced[run.folder]} repeats it and is newer"
            exclusions.append(Exclusion(run, "Excluded", reason))

    return exclusions


def without_excluded(runs: Sequence[Run], exclusions: Sequence[Exclusion]) -> list[Run]:
    """Keep the runs that are not excluded."""
    excluded = {exclusion.run.folder for exclusion in exclusions}
    return [run for run in runs if run.folder not in excluded]


def _find_replaced(runs: Sequence[Run]) -> dict[Path, Path]:
    """Find the runs that a newer one repeats, in setting and seed, with that one."""
    latest: dict[tuple[str, str], Run] = {}
    for run in sorted(runs, key=_end_time):
        if run.results and run.config:
            latest[run.setting, run.repetition] = run

    kept = {run.folder for run in latest.values()}
    return {
        run.folder: latest[run.setting, run.repetition].folder
        for run in runs
        if run.results and run.config and run.folder not in kept
    }


def _end_time(run: Run) -> float:
    path = run.folder / "results.json"
    return path.stat().st_mtime if path.is_file() else 0.0


class Score(NamedTuple):
    """A metric of one setting over its runs; NaN where there are too few of them.

    Attributes:
        values: Of each run.
        mean: Of the runs.
        std: Their standard deviation.
        interval: Half the width of the 95 % confidence interval of the mean.
        p: Of a paired t-test against the best setting.
        higher_is_better: None where that is not known.
    """

    values: list[float]
    mean: float
    std: float
    interval: float
    p: float | None = None
    higher_is_better: bool | None = None


class Row(NamedTuple):
    """A setting: its name, its runs, and its score in each metric."""

    name: str
    runs: list[Run]
    scores: dict[str, Score]

    @property
    def leaks(self) -> dict[str, int]:
        """Largest count of each kind of data leakage over its runs."""
        return find_worst_leaks([run.results for run in self.runs])


def compare_settings(
    runs: Sequence[Run], metrics: Sequence[str], directions: Mapping[str, bool] | None = None
) -> list[Row]:
    """Aggregate the tested runs of each setting, with a test against the best setting.

    The best setting of the first metric comes first, those without that metric last. Where it is
    not known which way a metric is better, no setting is its best; ``directions`` holds, for
    metrics that the catalog does not know, whether a higher value is better.
    """
    groups = defaultdict(list)
    for run in runs:
        if run.results and not run.pruned:
            groups[run.setting].append(run)

    names = name_settings(list(groups.values()))
    known_directions = {
        metric: find_direction(metric, runs, directions or {}) for metric in metrics
    }
    rows = [
        Row(
            name,
            group,
            {
                metric: aggregate_metric(group, metric, known_directions[metric])
                for metric in metrics
            },
        )
        for name, group in zip(names, groups.values(), strict=True)
    ]
    for metric in metrics:
        best = find_best_row(rows, metric)
        rows = [
            row._replace(scores=row.scores | {metric: _test_against_best(row, best, metric)})
            for row in rows
        ]

    return sorted(rows, key=lambda row: _rank(row, metrics[0])) if metrics else rows


def _rank(row: Row, metric: str) -> float:
    """Sort key: the better a row, the smaller."""
    score = row.scores[metric]
    if not np.isfinite(score.mean):
        return float("inf")
    return score.mean * {True: -1, False: 1, None: 0}[score.higher_is_better]


def name_settings(groups: list[list[Run]]) -> list[str]:
    """Name each setting by the overrides that are not common to all.

    One alone is named by all of them or, where those are long, by its model and experiment.
    """
    chosen = [
        [o for o in group[0].overrides if not (REPEATED_OVERRIDE.match(o) or IGNORED_KEYS.match(o))]
        for group in groups
    ]
    if len(chosen) == 1 and len(" ".join(chosen[0])) > MAX_NAME:
        own = [override for override in chosen[0] if override.startswith(("model=", "experiment="))]
        chosen = [own or chosen[0]]
    common = set(chosen[0]).intersection(*chosen) if len(chosen) > 1 else set()
    return [" ".join(o for o in overrides if o not in common) or "default" for overrides in chosen]


def aggregate_metric(runs: Sequence[Run], metric: str, higher_is_better: bool | None) -> Score:
    """Compute mean, standard deviation and Student's 95 % interval of a metric over runs."""
    values = [run.results[metric] for run in runs if run.results.get(metric) is not None]
    count = len(values)
    mean, std, interval = float("nan"), float("nan"), float("nan")
    if count:
        mean = float(np.mean(values))
    if count > 1 and np.isfinite(mean):
        std = float(np.std(values, ddof=1))
    if count >= MIN_RUNS and np.isfinite(mean):
        interval = float(stats.t.ppf(0.975, count - 1)) * std / count**0.5

    return Score(values, mean, std, interval, higher_is_better=higher_is_better)


def find_best_row(rows: Sequence[Row], metric: str) -> Row | None:
    """Find the setting with the best finite mean; None where no direction is known."""
    known = [row for row in rows if np.isfinite(row.scores[metric].mean)]
    if not known or known[0].scores[metric].higher_is_better is None:
        return None

    return min(known, key=lambda row: _rank(row, metric))


def _test_against_best(row: Row, best: Row | None, metric: str) -> Score:
    """Add the p-value of a paired t-test against the best setting to a score.

    Pairs are runs of the same seed and fold; their differences are taken to be independent and
    normally distributed, which few seeds cannot show. No correction for many settings.
    """
    if best is None or row is best:
        return row.scores[metric]

    ours, theirs = (
        {run.repetition: run.results.get(metric) for run in side.runs} for side in (row, best)
    )
    common = [k for k in ours if None not in (ours[k], theirs.get(k))]
    gaps = np.array([ours[k] for k in common], float) - [theirs[k] for k in common]
    if len(gaps) < MIN_RUNS or not np.isfinite(gaps).all() or not gaps.std() > 0:
        return row.scores[metric]

    p = stats.ttest_1samp(gaps, 0.0).pvalue
    return row.scores[metric]._replace(p=float(p))


def find_differences(one: Run, other: Run) -> list[tuple[str, Any, Any]]:
    """Find the keys of configuration and results that differ between two runs, with both values."""
    ours, theirs = one.config | one.results, other.config | other.results
    keys = [key for key in ours | theirs if not IGNORED_KEYS.match(key)]
    return [
        (key, ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)
    ]
