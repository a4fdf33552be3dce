"""Executor of ``dask.distributed``: the workers of a scheduler, or processes of this machine."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING

from avfusion.bounds import NonNegativeFloat, PositiveInt
from avfusion.preparation.executors import FinishedJob, WorkerRequirements, Workload, run_remote_job
from avfusion.threads import count_cores

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

# Jobs that are sent for each worker, as those of a whole corpus would fill memories.
SENT_JOBS = 3


@dataclass(frozen=True)
class Dask:
    """Workers of one thread each of the scheduler at an ``address``, or that wrote such a file.

    Without an address, so many ``workers`` of this machine. Workers may come and go meanwhile: dask
    itself gives what a lost one was at to another one.
    """

    address: str | None = None
    workers: PositiveInt | None = None
    timeout: NonNegativeFloat = 30
    is_remote = True

    def check(self) -> None:
        """Refuse to go on without dask, its scheduler, and workers that compute the same."""
        if find_spec("distributed") is None:
            raise ValueError(
                "prepare/executor=dask needs dask.distributed, which is not installed: "
                "pip install -e '.[dask]'"
            )
        if self.address is not None:
            with self._connect() as client:
                self._check_workers(client, WorkerRequirements.of_process())

    @contextmanager
    def run(self, workload: Workload) -> Iterator[Iterator[FinishedJob]]:
        """Run the jobs on all workers, each of which is sent a few at a time."""
        requirements = WorkerRequirements.of_process(workload.folder)
        with self._connect() as client:
            self._check_workers(client, requirements)
            yield _list_finished(client, workload, requirements)

    @contextmanager
    def _connect(self) -> Iterator["Client"]:
        from distributed import Client

        logging.getLogger("distributed").setLevel(logging.WARNING)  # it logs each connection
        options = {"timeout": self.timeout, "set_as_default": False}
        with ExitStack() as stack:
            try:
                if self.address is None:
                    cluster = start_local_cluster(self.workers or count_cores())
                    address = stack.enter_context(cluster).scheduler_address
                    client = Client(address, **options)
                elif "://" in self.address or ":" in self.address:
                    client = Client(self.address, **options)
                else:
                    client = Client(scheduler_file=self.address, **options)
                stack.enter_context(client)
                client.wait_for_workers(1, self.timeout)
            except (OSError, TimeoutError, ValueError):
                name = _without_credentials(self.address or "this machine")
                raise OSError(
                    f"No dask scheduler with a worker answers at {name} within {self.timeout:g} s: "
                    "start dask scheduler, and dask worker <address> --nthreads 1 on each "
                    "machine, or correct prepare.executor.address."
                ) from None  # whose own words may hold credentials
            yield client

    def _check_workers(self, client: "Client", requirements: WorkerRequirements) -> None:
        """Refuse workers of several threads, and those that differ; later ones do it themselves."""
        threads = client.nthreads()
        if several := [worker for worker, number in threads.items() if number > 1]:
            raise ValueError(
                f"The dask worker {several[0]} has {threads[several[0]]} threads, and a decoder "
                "that hangs would end the clips of all: start workers with --nthreads 1, and "
                "--nworkers for each core."
            )
        for error in client.run(_find_difference, requirements).values():
            if error is not None:
                raise error


@contextmanager
def start_local_cluster(workers: int) -> Iterator["LocalCluster"]:
    """Start processes of this machine, and leave the environment of this one as it was.

    Dask sets numbers of threads for them here (OMP_NUM_THREADS, MKL_NUM_THREADS), and a training
    that follows in this process, with all that it starts, would compute with one thread.
    """
    from distributed import LocalCluster

    environment = dict(os.environ)
    try:
        with LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",  # its own port may be taken
        ) as cluster:
            yield cluster
    finally:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update(environment)


def _find_difference(requirements: WorkerRequirements) -> ValueError | None:
    try:
        requirements.check()
    except ValueError as error:
        return error
    return None


def _without_credentials(address: str) -> str:
    scheme, _, rest = address.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else rest


def _list_finished(
    client: "Client", workload: Workload, requirements: WorkerRequirements
) -> Iterator[FinishedJob]:
    from distributed import as_completed

    waiting = iter(range(len(workload.jobs)))
    numbers: dict[Future[Exception | None], int] = {}
    ended = as_completed(loop=client.loop)

    def send(jobs: int) -> None:
        for number in islice(waiting, jobs):
            job = workload.jobs[number]
            do = partial(
                run_remote_job, workload.function, job, workload.started_file(job), requirements
            )
            future = client.submit(do, pure=False, retries=0)
            numbers[future] = number
            ended.add(future)

    send(SENT_JOBS * max(1, len(client.nthreads())))
    for future in ended:
        number = numbers.pop(future)
        yield FinishedJob(number, _find_error(future))
        future.release()
        send(max(1, SENT_JOBS * len(client.nthreads()) - len(numbers)))


def _find_error(future: "Future[Exception | None]") -> Exception | None:
    """Find the error that a job has raised, or why dask could not run it."""
    from distributed import CancelledError, KilledWorker

    try:
        error: Exception | None = future.result()
    except (KilledWorker, CancelledError, OSError) as lost:
        return ChildProcessError(f"dask lost its workers, or its scheduler ({lost}).")
    except Exception as raised:  # such as of a class that a worker does not know
        return RuntimeError(f"{type(raised).__name__}: {raised}")
    return error
