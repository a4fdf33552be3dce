"""Runs that a table of settings does not hold, and why."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from avfusion.comparison.records import Run


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
