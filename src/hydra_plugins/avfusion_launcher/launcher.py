"""Every job of a sweep is a fresh single run, in a process of its own.

``python src/train.py -m seed=1,2`` becomes ``python src/train.py seed=1 hydra.mode=RUN
hydra.run.dir=<sweep>/seed1`` and so on. So several processes per job, memory and crashes stay
inside the job, and what one job leaves in the environment reaches no other.
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
from hydra_plugins.avfusion_launcher.job import Job, check_surroundings, command_line
from hydra_plugins.avfusion_launcher.names import name_jobs
from hydra_plugins.avfusion_launcher.pace import Pace
from hydra_plugins.avfusion_launcher.processes import Processes

log = logging.getLogger(__name__)
NUMBERED = "${hydra.job.num}"  # Hydra's own hydra.sweep.subdir, in place of which jobs are named
# Private: named only to tell Hydra's own sweeper from a search, which deals with failed jobs.
BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


class SubprocessLauncher(Launcher):
    """Run ``n_jobs`` jobs side by side.

    ``gpus`` gives the devices that each slot sees, as in CUDA_VISIBLE_DEVICES; ``timeout`` is the
    most seconds of a job; ``resume`` reuses finished jobs of an interrupted sweep in the same
    ``hydra.sweep.dir`` and goes on with unfinished ones.
    """

    def __init__(
        self,
        n_jobs: int = 1,
        gpus: Sequence[str | int] = (),
        timeout: float | None = None,
        resume: bool = False,
    ) -> None:
        if n_jobs < 1:
            raise ValueError(f"hydra.launcher.n_jobs must be at least 1, got {n_jobs}.")
        self.n_jobs = n_jobs
        self.gpus = [str(gpu) for gpu in gpus]
        self.timeout = timeout
        self.resume = resume
        self.pace: Pace | None = None  # of a search, which launches more than once
        self.name_trial: Callable[[int], str] | None = None  # of a search, too

    def setup(self, *, hydra_context: Any, task_function: Callable[..., Any], config: Any) -> None:
        """Keep what Hydra tells every launcher."""
        self.hydra_context = hydra_context
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Run the jobs, and list those that failed."""
        check_surroundings()
        setup_globals()
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        numbers = range(initial_job_idx, initial_job_idx + len(job_overrides))
        if self.name_trial is None:
            names = name_jobs(job_overrides)
        else:
            names = [self.name_trial(number) for number in numbers]
        jobs = [
            self.job(number, list(overrides), name)
            for number, overrides, name in zip(numbers, job_overrides, names, strict=True)
        ]
        for job in jobs:
            check_complete(without_hydra(job.config), job.config.hydra)
        if self.resume and self.name_trial is None:
            self.find_begun(jobs)
        if self.resume:
            for job in jobs:
                job.check_same()
        returns = self.run_all(jobs)
        failed = [job for job, back in zip(jobs, returns, strict=True) if failure(back)]
        for job in failed:
            log.error("Failed: #%d %s, see %s", job.number, " ".join(job.overrides), job.folder)
        if failed and self.config.hydra.sweeper._target_ == BASIC:
            raise CompactHydraException(
                f"{len(failed)} of {len(jobs)} jobs failed. The same command with hydra.sweep.dir="
                f"{jobs[0].folder.parent} hydra.launcher.resume=true tries only those again."
            )
        return returns

    def job(self, number: int, overrides: list[str], name: str) -> Job:
        """Return one job; its folder has the given name unless the configuration has another."""
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id, config.hydra.job.num = f"job_{number}", number
        chosen = config.hydra.sweep
        if OmegaConf.to_container(chosen, resolve=False)["subdir"] != NUMBERED:  # type: ignore[index,call-overload]
            name = str(chosen.subdir)
        return Job(number, overrides, Path(str(chosen.dir)).absolute() / name, config)

    def find_begun(self, jobs: list[Job]) -> None:
        """Let jobs stay in the folders in which they have begun, whatever they are called.

        More values of a swept key, or another version, may have other names for the same jobs.
        """
        places = {path.parent for job in jobs for path in job.folder.parent.glob("*/job.json")}
        begun = [Job(0, [], folder, None) for folder in sorted(places)]
        known = {tuple(one.memory.get("overrides", [])): one.folder for one in begun}
        for job in jobs:
            if job.memory.get("overrides") != job.overrides:
                job.folder = known.get(tuple(job.overrides), job.folder)

    def run_all(self, jobs: list[Job]) -> list[JobReturn]:
        """Run jobs side by side; an interruption ends all their processes."""
        slots: SimpleQueue[str | None] = SimpleQueue()
        for slot in range(self.n_jobs):
            slots.put(self.gpus[slot % len(self.gpus)] if self.gpus else None)
        processes = Processes(self.timeout, self.n_jobs)
        pace = self.pace or Pace(len(jobs), self.n_jobs)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
        with pace.bar, ThreadPoolExecutor(self.n_jobs) as pool:
            futures = [pool.submit(self.run, job, slots, processes, pace) for job in jobs]
            try:
                return [future.result() for future in futures]
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                processes.end_all()
                log.error(
                    "Interrupted. To go on: the same command with hydra.sweep.dir=%s "
                    "hydra.launcher.resume=true",
                    jobs[0].folder.parent,
                )
                sys.exit(128 + signal.SIGINT)

    def run(
        self, job: Job, slots: "SimpleQueue[str | None]", processes: Processes, pace: Pace
    ) -> JobReturn:
        """Run one job when a slot is free, unless it is done already."""
        back = JobReturn(overrides=job.overrides, cfg=job.config, working_dir=str(job.folder))
        if self.resume and job.done():
            log.info("#%d : done already, in %s", job.number, job.folder)
            back.return_value, back.status = job.score(), JobStatus.COMPLETED
            pace.tick(job.number)
            return back
        gpus = slots.get()
        began = monotonic()
        try:
            log.info("#%d : %s", job.number, " ".join(job.overrides))
            job.begin()
            given: Any = OmegaConf.to_container(self.config.hydra.overrides.hydra, resolve=False)
            command = command_line(job, given, self.resume)
            code = processes.run(command, job.folder, gpus)
            job.end(code)
        finally:
            slots.put(gpus)
        pace.tick(job.number, monotonic() - began)
        if code:
            why = "ran out of time" if code == Processes.TIMED_OUT else f"ended with code {code}"
            back.return_value = RuntimeError(f"Job #{job.number} {why}, see {job.folder}.")
            back.status = JobStatus.FAILED
        else:
            back.return_value, back.status = job.score(), JobStatus.COMPLETED
        return back


def failure(back: JobReturn) -> bool:
    """Say whether a job failed."""
    return back.status is JobStatus.FAILED
