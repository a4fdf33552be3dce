"""Executor of Slurm, by submitit: array jobs, each of which runs its share of the jobs."""

import os
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from time import sleep
from typing import Any

from avfusion.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt
from avfusion.files import atomic_write
from avfusion.preparation.executors import FinishedJob, WorkerRequirements, Workload
from avfusion.preparation.executors.local import Local

CLUSTERS = ("slurm", "local")
JOB_NAME = "avfusion-prepare"


@dataclass(frozen=True)
class Slurm:
    """Array jobs of Slurm; see ``conf/prepare/executor/slurm.yaml`` for what they may ask for.

    Each job does its share of the work by so many processes as it has ``cores``, and leaves in
    ``folder`` how each of them ended. What jobs that end early have not done is lost, and another
    array does it. ``cluster=local`` takes processes of this machine for jobs.
    """

    folder: str
    jobs: PositiveInt = 16
    parallel: PositiveInt | None = None
    cores: PositiveInt = 1
    memory_gb: NonNegativeFloat = 4
    gpus: NonNegativeInt = 0
    minutes: PositiveInt = 1440
    partition: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = "slurm"
    poll_seconds: NonNegativeFloat = 5.0
    is_remote = True

    def __post_init__(self) -> None:
        if self.cluster not in CLUSTERS:
            raise ValueError(
                f"prepare.executor.cluster must be one of {CLUSTERS}, got {self.cluster}."
            )

    def check(self) -> None:
        """Refuse to go on without submitit, or without Slurm."""
        if find_spec("submitit") is None:
            raise ValueError(
                "prepare/executor=slurm needs submitit, which is not installed: "
                "pip install -e '.[cluster]'"
            )
        if self.cluster == "slurm" and shutil.which("sbatch") is None:
            raise ValueError(
                "prepare/executor=slurm found no sbatch here: start it on a machine that submits "
                "jobs to Slurm, or try it without one by prepare.executor.cluster=local."
            )

    @contextmanager
    def run(self, workload: Workload) -> Iterator[Iterator[FinishedJob]]:
        """Submit an array whose jobs share the work; those that have not ended are cancelled."""
        from submitit import AutoExecutor

        Path(self.folder).mkdir(parents=True, exist_ok=True)
        folder = Path(mkdtemp(prefix="array-", dir=self.folder)).absolute()
        executor = AutoExecutor(folder, cluster=self.cluster)
        executor.update_parameters(
            name=JOB_NAME,
            tasks_per_node=1,
            cpus_per_task=self.cores,
            mem_gb=self.memory_gb,
            timeout_min=self.minutes,
            gpus_per_node=self.gpus,
            slurm_partition=self.partition,
            slurm_array_parallelism=self.parallel or self.jobs,
            slurm_additional_parameters=dict(self.more),
        )
        shares = [range(n, len(workload.jobs), self.jobs) for n in range(self.jobs)]
        shares = [share for share in shares if share]
        requirements = WorkerRequirements.of_process(workload.folder)
        workers = 1 if self.gpus else self.cores
        submitted = executor.map_array(
            run_share,
            *zip(
                *((workload.select(s), list(s), folder, requirements, workers) for s in shares),
                strict=True,
            ),
        )
        lost: list[int] = []
        try:
            yield self._list_finished(folder, submitted, shares, lost)
        except BaseException:
            for job in submitted:
                job.cancel(check=False)
            raise
        if not lost:  # of which the logs may say why
            shutil.rmtree(folder, ignore_errors=True)

    def _list_finished(
        self, folder: Path, submitted: Sequence[Any], shares: Sequence[range], lost: list[int]
    ) -> Iterator[FinishedJob]:
        waiting = {number for share in shares for number in share}
        finished: set[int] = set()  # jobs; what they have written is seen at the next look
        over: set[int] = set()
        while waiting or len(over) < len(submitted):
            over = {index for index, job in enumerate(submitted) if job.done()}
            for file in sorted(folder.glob("*.ended")):
                number = int(file.stem)
                if number in waiting:
                    waiting.discard(number)
                    yield FinishedJob(number, pickle.loads(file.read_bytes()))
            for index in finished & over:
                for number in sorted(waiting.intersection(shares[index])):
                    waiting.discard(number)
                    lost.append(number)
                    yield FinishedJob(number, _describe_loss(submitted[index]))
            finished = over
            if waiting or len(over) < len(submitted):
                sleep(self.poll_seconds)


def _describe_loss(job: Any) -> Exception:
    """Describe why a job has not done its share: its error, or the state in which it ended."""
    error = None
    if job.paths.result_pickle.exists():
        outcome, result = pickle.loads(job.paths.result_pickle.read_bytes())
        error = str(result).strip().splitlines()[-1] if outcome == "error" else None
    return ChildProcessError(
        f"Job {job.job_id} ended ({job.state}) without having done its share; see "
        f"{job.paths.stderr}." + (f" Its last message: {error}" if error else "")
    )


def run_share(
    workload: Workload,
    numbers: Sequence[int],
    folder: Path,
    requirements: WorkerRequirements,
    workers: int,
) -> None:
    """Run jobs in processes of this machine, and record how each of them ended, by its number."""
    try:
        requirements.check()
    except ValueError as error:
        for number in numbers:
            _record_end(folder, number, error)
        return
    os.chdir(requirements.folders[0])  # paths of a corpus may be relative
    with Local(workers).run(workload) as ended:
        for index, found in ended:
            _record_end(folder, numbers[index], found)


def _record_end(folder: Path, number: int, error: Exception | None) -> None:
    with atomic_write(folder / f"{number}.ended", concurrent=True) as partial:
        partial.write_bytes(pickle.dumps(error))
