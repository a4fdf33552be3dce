"""Runs side by side: read from their folders, grouped by setting, compared over seeds."""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from scipy import stats

# What a setting is repeated over, and what differs between runs without being a choice.
REPEATED = re.compile(r"^\+*(seed|data\.seed|.*split_seed|.*fold|fold)=")
REPEATED_KEYS = re.compile(r"^(seed|data\.seed|(data\.)?(corpus\.)?split_seed|.*fold)$")
OTHER = re.compile(r"^(description|callbacks|logger|trainer\.default_root_dir|ckpt_path|init_from)")


@dataclass(frozen=True)
class Run:
    """One run folder; ``results`` are empty where it has not ended."""

    folder: Path
    config: dict[str, Any]
    overrides: list[str]
    results: dict[str, Any]
    exit_code: int | None
    broken: tuple[str, ...] = ()  # its files that are half-written, or something else

    @property
    def failed(self) -> bool:
        """Whether it ended without results."""
        return bool(self.broken) or (not self.results and self.exit_code not in (None, 0))

    @property
    def pruned(self) -> bool:
        """Whether a search has given it up, before a test."""
        return bool(self.results.get("pruned"))

    @property
    def setting(self) -> str:
        """Everything that was chosen but what a setting is repeated over."""
        chosen = {
            key: value
            for key, value in self.config.items()
            if not REPEATED_KEYS.match(key) and not OTHER.match(key)
        }
        return json.dumps(chosen, sort_keys=True, default=str)

    @property
    def repetition(self) -> str:
        """Which of the repetitions of a setting this is."""
        chosen = {key: value for key, value in self.config.items() if REPEATED_KEYS.match(key)}
        return json.dumps(chosen, sort_keys=True, default=str)


class Score(NamedTuple):
    """A metric of one setting over its runs; the interval is the half width of 95 %."""

    values: list[float]
    mean: float
    std: float
    interval: float
    p: float | None = None  # of being as good as the best setting


class Row(NamedTuple):
    """One setting."""

    name: str
    runs: list[Run]
    scores: dict[str, Score]


def find_runs(places: Sequence[str]) -> list[Run]:
    """Return the runs in folders, in sweeps, or in folders that match a pattern."""
    found: dict[Path, None] = {}
    for place in places:
        for match in sorted(glob(place, recursive=True)):
            folders = {path.parent for path in Path(match).rglob("config.yaml")}
            folders |= {path.parent for path in Path(match).rglob("job.json")}
            folders = {folder for folder in folders if folder.name != ".hydra"}
            found |= dict.fromkeys(sorted(folders, key=natural))
    if not found:
        raise FileNotFoundError(
            f"No run in {', '.join(places)}: give the folder of a run or of a sweep, such as "
            "logs/sweeps/2026-01-31_12-00-00-000000."
        )
    return [read_run(folder) for folder in found]


def read_run(folder: Path) -> Run:
    """Read what one run folder holds."""
    names = ("job.json", "results.json", "config.yaml")
    contents = {name: read_names(folder / name) for name in names}
    broken = tuple(name for name, content in contents.items() if content is None)
    job, results, config = (contents[name] or {} for name in names)
    overrides = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.is_file() else []
    chosen = job.get("overrides") or given
    found = {} if broken else results
    return Run(folder, flat(config), chosen, found, job.get("exit_code"), broken)


def read_names(path: Path) -> dict[str, Any] | None:
    """Return the values of a file: nothing where it is not there, None where it is broken."""
    if not path.is_file():
        return {}
    read = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        content = read(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None


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


def flat(part: Any, key: str = "") -> dict[str, Any]:
    """Return the leaves of a configuration under dotted names."""
    if not isinstance(part, dict):
        return {key: part}
    leaves: dict[str, Any] = {}
    for name, child in part.items():
        leaves |= flat(child, f"{key}.{name}" if key else str(name))
    return leaves


def natural(path: Path) -> list[Any]:
    """Sort job 10 behind job 9."""
    parts = re.split(r"(\d+)", str(path))
    return [int(part) if part.isdigit() else part for part in parts]


def compare(runs: Sequence[Run], metrics: Sequence[str]) -> list[Row]:
    """Return a row per setting of the runs that were tested, with a test against the best."""
    groups = defaultdict(list)
    for run in runs:
        if run.results and not run.pruned:
            groups[run.setting].append(run)
    names = name_settings(list(groups.values()))
    rows = [
        Row(name, group, {metric: score(group, metric) for metric in metrics})
        for name, group in zip(names, groups.values(), strict=True)
    ]
    for metric in metrics:
        best = best_row(rows, metric)
        rows = [
            row._replace(scores=row.scores | {metric: tested(row, best, metric)}) for row in rows
        ]
    return rows


def name_settings(groups: list[list[Run]]) -> list[str]:
    """Name each setting by the overrides that are not common to all."""
    chosen = [
        [o for o in group[0].overrides if not (REPEATED.match(o) or OTHER.match(o))]
        for group in groups
    ]
    common = set(chosen[0]).intersection(*chosen) if len(chosen) > 1 else set()
    return [" ".join(o for o in overrides if o not in common) or "default" for overrides in chosen]


def score(runs: Sequence[Run], metric: str) -> Score:
    """Return mean, standard deviation and Student's 95 % interval of a metric."""
    values = [run.results[metric] for run in runs if run.results.get(metric) is not None]
    if not values:
        return Score([], float("nan"), float("nan"), float("nan"))
    mean, count = float(np.mean(values)), len(values)
    if count == 1:
        return Score(values, mean, float("nan"), float("nan"))
    std = float(np.std(values, ddof=1))
    return Score(values, mean, std, float(stats.t.ppf(0.975, count - 1)) * std / count**0.5)


def best_row(rows: Sequence[Row], metric: str) -> Row | None:
    """Return the setting with the best mean; a loss is best where it is least."""
    sign = -1 if metric.endswith("loss") else 1
    known = [row for row in rows if row.scores[metric].values]
    return max(known, key=lambda row: sign * row.scores[metric].mean, default=None)


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
    if len(gaps) < 2 or not gaps.std():
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
