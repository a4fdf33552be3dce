"""Executors of this machine: processes of it, and this process alone."""

from collections.abc import Iterator
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass

from avfusion.bounds import PositiveInt
from avfusion.parallel import KILLED_MESSAGE, open_pool
from avfusion.preparation.executors import FinishedJob, Workload, run_job


@dataclass(frozen=True)
class Local:
    """Processes of this machine, by default one for each core that may be used."""

    workers: PositiveInt | None = None
    is_remote = False

    def check(self) -> None:
        """Nothing is asked of a machine."""

    @contextmanager
    def run(self, workload: Workload) -> Iterator[Iterator[FinishedJob]]:
        """Run the jobs in processes; where one is killed, all that have not ended are lost."""
        with open_pool(len(workload.jobs), sum(workload.sizes), self.workers) as pool:
            futures = {
                pool.submit(run_job, workload.function, job, workload.started_file(job)): number
                for number, job in enumerate(workload.jobs)
            }
            yield _list_finished(futures)


def _list_finished(futures: dict[Future[Exception | None], int]) -> Iterator[FinishedJob]:
    for future in as_completed(futures):
        try:
            error = future.result()
        except BrokenProcessPool:
            error = ChildProcessError(KILLED_MESSAGE)
        yield FinishedJob(futures[future], error)


@dataclass(frozen=True)
class InProcess:
    """This process alone, for what needs its GPU, or is not worth another process."""

    is_remote = False

    def check(self) -> None:
        """Nothing is asked of a process."""

    @contextmanager
    def run(self, workload: Workload) -> Iterator[Iterator[FinishedJob]]:
        """Run the jobs one after the other."""
        yield (
            FinishedJob(number, run_job(workload.function, job, workload.started_file(job)))
            for number, job in enumerate(workload.jobs)
        )
