"""Launcher that runs every job of a sweep as a fresh single run, in a process of its own.

``python src/train.py -m seed=1,2`` becomes ``python src/train.py seed=1 hydra.mode=RUN
hydra.run.dir=<sweep>/seed1`` and so on. So several processes per job, memory and crashes stay
inside the job, and what one job leaves in the environment reaches no other. The process is a fork
of one that has imported what jobs need (``_fork_server.py``). Hydra's own launchers run jobs in
this one: with DDP, each rank starts the sweep again.
"""

import logging
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.errors import CompactHydraException
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf, open_dict

from avfusion.run.configuration import check_complete, without_hydra
from hydra_plugins.avfusion_launcher._job_server import JobServer
from hydra_plugins.avfusion_launcher.job import Job, build_command, check_single_process
from hydra_plugins.avfusion_launcher.names import name_jobs
from hydra_plugins.avfusion_launcher.processes import JobProcesses, make_job_environment
from hydra_plugins.avfusion_launcher.progress import SweepProgress

log = logging.getLogger(__name__)
DEFAULT_SUBDIR = "${hydra.job.num}"  # Hydra's own hydra.sweep.subdir, replaced by names of jobs
# Private: named only to know Hydra's own sweeper from a search, which handles failed jobs itself.
GRID_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class SubprocessLauncher(Launcher):
    """Launch each job of a sweep as a process.

    Args:
        n_jobs: How many jobs run at once.
        gpus: The devices that each of these slots sees, as in CUDA_VISIBLE_DEVICES.
        timeout: The most seconds of a job.
        resume: Reuse finished jobs of an interrupted sweep in the same ``hydra.sweep.dir``, and go
            on with unfinished ones.
        fork: Fork jobs from a process that has imported torch, Lightning and this package, on
            Linux; otherwise each is a fresh interpreter.
    """

    def __init__(
        self,
        n_jobs: int = 1,
        gpus: Sequence[str | int] = (),
        timeout: float | None = None,
        resume: bool = False,
        fork: bool = True,
    ) -> None:
        if n_jobs < 1:
            raise ValueError(f"hydra.launcher.n_jobs must be at least 1, got {n_jobs}.")

        self.n_jobs = n_jobs
        self.gpus = [str(gpu) for gpu in gpus]
        self.timeout = timeout
        self.resume = resume
        self.server = JobServer(sys.argv[0]) if fork else None
        self.progress: SweepProgress | None = None  # of a search, which launches more than once
        self.name_trial: Callable[[int], str] | None = None  # of a search, too

    def setup(self, *, hydra_context: Any, task_function: Callable[..., Any], config: Any) -> None:
        """Take what Hydra hands to every launcher; imports go on while it composes the jobs."""
        self.hydra_context = hydra_context
        self.config = config
        if self.server is not None:
            self.server.start_imports(make_job_environment(self.n_jobs))

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs, and list those that failed."""
        check_single_process()
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)

        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        if self.name_trial is None:
            names = name_jobs(job_overrides)
        else:
            names = [self.name_trial(number) for number in numbers]
        jobs = [
            self._make_job(number, list(overrides), name)
            for number, overrides, name in zip(numbers, job_overrides, names, strict=True)
        ]

        for job in jobs:
            check_complete(without_hydra(job.config), job.config.hydra)
        if self.resume and self.name_trial is None:
            self._find_existing_folders(jobs)
        if self.resume:
            for job in jobs:
                job.check_same_overrides()

        returns = self._run_all(jobs)
        failed = [job for job, result in zip(jobs, returns, strict=True) if has_failed(result)]
        for job in failed:
            log.error("Failed: #%d %s, see %s", job.number, " ".join(job.overrides), job.folder)
        if failed and self.config.hydra.sweeper._target_ == GRID_SWEEPER:
            raise CompactHydraException(
                f"{len(failed)} of {len(jobs)} jobs failed. The same command with hydra.sweep.dir="
                f"{jobs[0].folder.parent} hydra.launcher.resume=true tries only those again."
            )

        return returns

    def _make_job(self, number: int, overrides: list[str], name: str) -> Job:
        """Compose the configuration of a job; its folder has the name unless one is configured."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"job_{number}", number

        sweep = config.hydra.sweep
        if OmegaConf.to_container(sweep, resolve=False)["subdir"] != DEFAULT_SUBDIR:  # type: ignore[index,call-overload]
            name = str(sweep.subdir)
        return Job(number, overrides, Path(str(sweep.dir)).absolute() / name, config)

    def _find_existing_folders(self, jobs: list[Job]) -> None:
        """Let jobs stay in the folders in which they have begun, whatever these are called.

        More values of a swept key, or another version, may have other names for the same jobs.
        """
        folders = {path.parent for job in jobs for path in job.folder.parent.glob("*/job.json")}
        begun = [Job(0, [], folder, None) for folder in sorted(folders)]
        by_overrides = {tuple(one.record.get("overrides", [])): one.folder for one in begun}
        for job in jobs:
            if job.record.get("overrides") != job.overrides:
                job.folder = by_overrides.get(tuple(job.overrides), job.folder)

    def _run_all(self, jobs: list[Job]) -> list[JobReturn]:
        """Run jobs, ``n_jobs`` at once; an interruption ends all their processes."""
        slots: SimpleQueue[str | None] = SimpleQueue()
        for slot in range(self.n_jobs):
            slots.put(self.gpus[slot % len(self.gpus)] if self.gpus else None)
        processes = JobProcesses(self.timeout, self.n_jobs, self.server)
        progress = self.progress or SweepProgress(len(jobs), self.n_jobs)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C

        with progress.bar, ThreadPoolExecutor(self.n_jobs) as pool:
            futures = [pool.submit(self._run, job, slots, processes, progress) for job in jobs]
            try:
                return [future.result() for future in futures]
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                processes.stop_all()
                log.error(
                    "Interrupted. To go on: the same command with hydra.sweep.dir=%s "
                    "hydra.launcher.resume=true",
                    jobs[0].folder.parent,
                )
                sys.exit(128 + signal.SIGINT)

    def _run(
        self,
        job: Job,
        slots: "SimpleQueue[str | None]",
        processes: JobProcesses,
        progress: SweepProgress,
    ) -> JobReturn:
        """Run one job when a slot is free, unless it is finished already."""
        result = JobReturn(overrides=job.overrides, cfg=job.config, working_dir=str(job.folder))
        if self.resume and job.is_finished():
            log.info("#%d : done already, in %s", job.number, job.folder)
            result.return_value, result.status = job.read_score(), JobStatus.COMPLETED
            progress.count_job(job.number)
            return result

        gpus = slots.get()
        began = monotonic()
        try:
            log.info("#%d : %s", job.number, " ".join(job.overrides))
            job.record_start()
            given: Any = OmegaConf.to_container(self.config.hydra.overrides.hydra, resolve=False)
            command = build_command(job, given, self.resume)
            code = processes.run(command, job.folder, gpus, job.config)
            job.record_end(code)
        finally:
            slots.put(gpus)
        progress.count_job(job.number, monotonic() - began)

        if code:
            timed_out = code == JobProcesses.TIMED_OUT
            reason = "ran out of time" if timed_out else f"ended with code {code}"
            result.return_value = RuntimeError(f"Job #{job.number} {reason}, see {job.folder}.")
            result.status = JobStatus.FAILED
        else:
            result.return_value, result.status = job.read_score(), JobStatus.COMPLETED
        return result


def has_failed(result: JobReturn) -> bool:
    """Whether a job failed."""
    return result.status is JobStatus.FAILED
