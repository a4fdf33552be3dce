"""The processes of jobs, each with its children in a session of its own."""

import fcntl
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Lock
from typing import TextIO

from hydra.errors import CompactHydraException

from avfusion.threads import SIDE_BY_SIDE, environment_of_children

# Left by a parent run of several processes, they would make a job believe it is one of them.
RANK_VARIABLES = {"MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK", "RANK", "LOCAL_RANK"}
RANK_VARIABLES |= {"WORLD_SIZE", "LOCAL_WORLD_SIZE", "PL_GLOBAL_SEED"}
GRACE = 60.0  # seconds that a process has to write its checkpoint


class Processes:
    """Run commands, in ``slots`` side by side, which share the cores; each may take ``timeout`` s.

    Those that run side by side write to console.log, not to the terminal.
    """

    TIMED_OUT = 124

    def __init__(self, timeout: float | None, slots: int) -> None:
        self.timeout = timeout
        self.slots = slots
        self.quiet = slots > 1
        self.running: set[subprocess.Popen[bytes]] = set()
        self.ended = False
        self.starting = Lock()  # what ends all of them must miss none

    def run(self, command: Sequence[str], folder: Path, gpus: str | None) -> int:
        """Run one command to its end and return its exit code."""
        environment = {
            k: v for k, v in environment_of_children().items() if k not in RANK_VARIABLES
        }
        environment[SIDE_BY_SIDE] = str(self.slots)
        if gpus is not None:
            environment["CUDA_VISIBLE_DEVICES"] = gpus
        with ExitStack() as stack:
            output = (
                stack.enter_context((folder / "console.log").open("ab")) if self.quiet else None
            )
            lock = stack.enter_context(hold(folder))
            with self.starting:
                if self.ended:
                    return -signal.SIGTERM
                process = subprocess.Popen(
                    command,
                    env=environment,
                    stdout=output,
                    stderr=subprocess.STDOUT if self.quiet else None,
                    start_new_session=True,
                    pass_fds=[lock.fileno()],
                )
                self.running.add(process)
            try:
                code = process.wait(self.timeout)
                return code or (-signal.SIGTERM if self.ended else 0)
            except subprocess.TimeoutExpired:
                end(process)
                return self.TIMED_OUT
            finally:
                self.running.discard(process)
                end_rest(process)

    def end_all(self) -> None:
        """End all that run, and start no more."""
        with self.starting:
            self.ended = True
        for process in list(self.running):
            end(process)


def hold(folder: Path) -> TextIO:
    """Return the lock of a job's folder, which its process inherits and holds until it ends."""
    lock = (folder / "job.lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CompactHydraException(
            f"The job in {folder} still runs, as the sweep that began it was killed: wait for its "
            "end, or end it, and resume the sweep then."
        ) from None
    return lock


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process and its children to end, and end them if they do not."""
    signal_all(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    end_rest(process)
    process.wait()


def end_rest(process: "subprocess.Popen[bytes]") -> None:
    """End what a process has left behind, such as ranks that wait for a crashed one."""
    signal_all(process, signal.SIGKILL)


def signal_all(process: "subprocess.Popen[bytes]", number: int) -> None:
    """Send a signal to a process and its children."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
