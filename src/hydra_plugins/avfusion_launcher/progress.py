"""Progress of a sweep: jobs that have ended, and the time that the others will take."""

import logging
from threading import Lock

from avfusion.console import is_interactive
from avfusion.messages import format_duration

log = logging.getLogger(__name__)


class SweepProgress:
    """Count finished jobs: by a bar at a terminal whose jobs print elsewhere, otherwise in the log.

    Args:
        total: Number of jobs.
        slots: How many of them run at once.
    """

    def __init__(self, total: int, slots: int) -> None:
        # Hydra imports this file at each start, and rich takes two tenths of a second.
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self.total = total
        self.slots = slots
        self.finished = 0
        self.durations: list[float] = []  # seconds of each job that was run
        self.lock = Lock()

        self.has_bar = slots > 1 and is_interactive()
        columns = (TextColumn("Sweep"), BarColumn(), MofNCompleteColumn())
        self.bar = Progress(
            *columns, TextColumn("{task.fields[left]}"), disable=not self.has_bar, transient=True
        )
        self.task = self.bar.add_task("Sweep", total=total, left="")

    def count_job(self, number: int, seconds: float | None = None) -> None:
        """Count a finished job, with its duration where it was run."""
        with self.lock:
            self.finished += 1
            self.durations += [] if seconds is None else [seconds]
            left = self.estimate_time_left()
            self.bar.update(self.task, advance=1, left=left)

            if seconds is not None and not self.has_bar:
                log.info(
                    "#%d took %s; %d of %d jobs done%s",
                    number,
                    format_duration(seconds),
                    self.finished,
                    self.total,
                    left and f", {left}",
                )

    def estimate_time_left(self) -> str:
        """Estimate the time of the remaining jobs by the mean of those that were run."""
        jobs = self.total - self.finished
        if not jobs or not self.durations:
            return ""

        mean = sum(self.durations) / len(self.durations)
        return f"about {format_duration(mean * jobs / min(self.slots, jobs))} left"
