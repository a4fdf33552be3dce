"""How far a sweep is, and how long it still takes."""

import logging
from threading import Lock

from avfusion.console import is_interactive
from avfusion.messages import format_duration

log = logging.getLogger(__name__)


class Pace:
    """Count jobs that end: with a bar where a person looks on and jobs are quiet, else in lines."""

    def __init__(self, total: int, slots: int) -> None:
        self.total = total
        self.slots = slots
        self.done = 0
        self.took: list[float] = []  # seconds of each job that was run
        self.counting = Lock()
        # Hydra imports this file at each start, and rich takes two tenths of a second.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.drawn = slots > 1 and is_interactive()
        columns = (TextColumn("Sweep"), BarColumn(), MofNCompleteColumn())
        self.bar = Progress(
            *columns, TextColumn("{task.fields[left]}"), disable=not self.drawn, transient=True
        )
        self.task = self.bar.add_task("Sweep", total=total, left="")

    def tick(self, number: int, seconds: float | None = None) -> None:
        """Count one job, with the time that it took where it was run."""
        with self.counting:
            self.done += 1
            self.took += [] if seconds is None else [seconds]
            rest = self.rest()
            self.bar.update(self.task, advance=1, left=rest)
            if seconds is not None and not self.drawn:
                took, counted = format_duration(seconds), f"{self.done} of {self.total}"
                log.info("#%d took %s; %s jobs done%s", number, took, counted, rest and f", {rest}")

    def rest(self) -> str:
        """Return how long the other jobs take, if they are like those that were run."""
        jobs = self.total - self.done
        if not jobs or not self.took:
            return ""
        seconds = sum(self.took) / len(self.took) * jobs / min(self.slots, jobs)
        return f"about {format_duration(seconds)} left"
