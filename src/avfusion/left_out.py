"""Runs that a table of settings does not hold, and why."""

from collections.abc import Sequence
from typing import NamedTuple

from avfusion.comparison import Run, repeated


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
