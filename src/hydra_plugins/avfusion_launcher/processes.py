"""Processes of jobs, each with its children in a session of its own."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import TextIO

from hydra.errors import CompactHydraException
from omegaconf import DictConfig

from avfusion.threads import PARALLEL_JOBS_VARIABLE, make_child_environment
from hydra_plugins.avfusion_launcher._job_server import JobServer

# Left by a parent run of several processes, they would make a job believe it is one of them.
RANK_VARIABLES = {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK", "RANK", "LOCAL_RANK"}
RANK_VARIABLES |= {"WORLD_SIZE", "LOCAL_WORLD_SIZE", "PL_GLOBAL_SEED"}
GRACE_PERIOD = 60.0  # seconds that a process has to write its checkpoint
REAPING_TIME = 2.0  # seconds that killed processes have to end


class JobProcesses:
    """Run commands, up to ``slots`` at once, which share the cores.

    Those that run at once write to console.log in their folders, not to the terminal. A command
    that takes more than ``timeout`` seconds is stopped.
    """

    TIMED_OUT = 124

    def __init__(self, timeout: float | None, slots: int, server: JobServer | None = None) -> None:
        self.timeout = timeout
        self.slots = slots
        self.server = server
        self.logs_to_file = slots > 1
        self.running: set[subprocess.Popen[bytes]] = set()
        self.stopped = False
        self.starting = Lock()  # stop_all must miss no process

    def run(
        self,
        command: Sequence[str],
        folder: Path,
        gpus: str | None,
        config: DictConfig | None = None,
    ) -> int:
        """Run one command to its end and return its exit code; a server needs the ``config``."""
        environment = make_job_environment(self.slots)
        start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
        if self.server is not None and config is not None:
            self.server.prepare(environment)
            start = partial(self.server.start, config=config)
        if gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpus

        with ExitStack() as stack:
            output = None
            if self.logs_to_file:
                output = stack.enter_context((folder / "console.log").open("ab"))
            lock = stack.enter_context(lock_folder(folder))
            with self.starting:
                if self.stopped:
                    return -signal.SIGTERM
                process = start(
                    command,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT if self.logs_to_file else None,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                )
                self.running.add(process)

            try:
                code = process.wait(self.timeout)
                return code or (-signal.SIGTERM if self.stopped else 0)
            except subprocess.TimeoutExpired:
                _stop(process)
                return self.TIMED_OUT
            finally:
                self.running.discard(process)
                _kill_session(process)

    def stop_all(self) -> None:
        """Stop all that run, and start no more."""
        if self.server is not None:
            self.server.stop()
        with self.starting:
            self.stopped = True

        for process in list(self.running):
            _stop(process)


def make_job_environment(slots: int) -> dict[str, str]:
    """Make the environment of jobs, of which up to ``slots`` run at once."""
    environment = {k: v for k, v in make_child_environment().items() if k not in RANK_VARIABLES}
    return environment | {PARALLEL_JOBS_VARIABLE: str(slots)}


def lock_folder(folder: Path) -> TextIO:
    """Lock a job's folder; the job's process inherits the lock and holds it until it ends."""
    lock = (folder / "job.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CompactHydraException(
            f"The job in {folder} is still running, left by a sweep that was killed: wait for its "
            "end, or kill it, then resume the sweep."
        ) from None

    return lock


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process and its children to end, and kill them if they do not."""
    _send_signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_PERIOD)

    _kill_session(process)


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill what a process has left behind, such as ranks that wait for a crashed one."""
    _send_signal(process, signal.SIGKILL)
    process.wait()

    # Orphans of a forked job are children of this process.
    deadline = monotonic() + REAPING_TIME
    with suppress(ChildProcessError):
        while monotonic() < deadline:
            if os.waitpid(-process.pid, os.WNOHANG) == (0, 0):
                sleep(0.01)


def _send_signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
