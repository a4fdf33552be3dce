"""Executors: they run the jobs of a preparation, on this machine or on many.

A preparation, and each stream, is a list of independent jobs (``Workload``). An executor is a class
with

* ``is_remote``: whether its workers may be other machines;
* ``check()``, which refuses what cannot run, in a sentence with the cure, before long work: a
  package that is not installed, a scheduler that cannot be reached;
* ``run(workload)``, a context in which the jobs run. It gives an iterator of ``FinishedJob``, one
  for each job, in the order in which they end. Jobs have begun when the context is entered; leaving
  it, for whatever reason, ends those that have not.

Of each job, an executor calls ``run_job`` in this process, or ``run_remote_job`` in a worker,
once or several times, and hands on what they return. A job whose worker was lost ends with a
``ChildProcessError``. No executor tries again, counts or shows anything: ``attempts`` does, for all
of them.

What may be relied on, and what is asked of jobs:

* All workers share the file system, the paths on it, and the installation of avfusion; each of
  these is checked by the workers. Only the process that starts them holds the lock of the store.
* A job writes its result into a file of its own, ``workload.result_file(job)``, whole or not at
  all, by a temporary file that no other attempt writes to. Only the process that holds the lock
  writes into the store. So a worker that was taken for lost and comes back harms nothing, and what
  was begun under one executor can be continued under any other.
* A job computes with one thread: the bytes do not depend on where it runs.

To add an executor: one module here, one YAML in ``conf/prepare/executor``, one test in
``tests/preparation/executors``.
"""

import os
import pickle
import socket
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, chdir
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from avfusion.preparation.executors.environment import check_same_environment, describe_environment


class Workload(NamedTuple):
    """Independent jobs, each with a name of its own, and ``function``, which runs one of them.

    ``sizes`` are numbers of clips. Results of jobs are in ``folder``. Function and jobs are
    picklable, but for work that is done in this process.
    """

    title: str
    folder: Path
    function: Callable[[Any], object]
    jobs: Sequence[Any]
    sizes: Sequence[int]

    def result_file(self, job: Any) -> Path:
        """File that a job writes when it is done."""
        return self.folder / f"{job.name}.npz"

    def started_file(self, job: Any) -> Path:
        """File that is there while a job runs, and stays if its process dies."""
        return self.folder / f"{job.name}.begun"

    def select(self, numbers: Sequence[int]) -> "Workload":
        """Select some of the jobs."""
        jobs, sizes = ([part[n] for n in numbers] for part in (self.jobs, self.sizes))
        return self._replace(jobs=jobs, sizes=sizes)


class FinishedJob(NamedTuple):
    """The end of a job, by its number: good, or with the error that it raised."""

    number: int
    error: Exception | None = None


@runtime_checkable
class Executor(Protocol):
    """See the docstring of the package."""

    is_remote: bool

    def check(self) -> None:
        """Refuse what cannot run.

        Raises:
            ValueError, OSError: in a sentence with the cure.
        """

    def run(self, workload: Workload) -> AbstractContextManager[Iterator[FinishedJob]]:
        """Run the jobs for as long as the context lasts; give the end of each."""


def run_job(function: Callable[[Any], object], job: Any, started_file: Path) -> Exception | None:
    """Run a job; return the error that it raised, in a form that can be sent."""
    started_file.write_text(f"{socket.gethostname()} {os.getpid()}", encoding="utf-8")
    error = None
    try:
        function(job)
    except Exception as raised:  # of any kind: the receiver decides
        raised.add_note(traceback.format_exc())
        error = _make_sendable(raised)
    started_file.unlink(missing_ok=True)
    return error


def _make_sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # what its constructor asks for is not what it keeps
        kind = ValueError if isinstance(error, ValueError) else RuntimeError
        return kind(f"{type(error).__name__}: {error}")
    return error.with_traceback(None)


class WorkerRequirements(NamedTuple):
    """Environment and folders without which a worker would compute or write something else."""

    environment: dict[str, str]
    folders: tuple[Path, ...]

    @classmethod
    def of_process(cls, *folders: Path) -> "WorkerRequirements":
        """Requirements that this process meets: its environment, the current folder, and others."""
        current = Path.cwd()
        return cls(describe_environment(), (current, *(current / one for one in folders)))

    def check(self) -> None:
        """Refuse a worker that would compute something else, or write somewhere else."""
        check_same_environment(self.environment)
        for folder in self.folders:
            if not folder.is_dir():
                raise ValueError(
                    f"The worker on {socket.gethostname()} has no {folder}: workers need the file "
                    "system of the process that starts them, under the same paths; without one, "
                    "prepare a share of the corpus on each machine (prepare.shard=1/2)."
                )


def run_remote_job(
    function: Callable[[Any], object],
    job: Any,
    started_file: Path,
    requirements: WorkerRequirements,
) -> Exception | None:
    """Run a job in a worker that meets the requirements."""
    import torch

    try:
        requirements.check()
    except ValueError as error:
        return error
    torch.set_num_threads(1)
    with chdir(requirements.folders[0]):  # paths of a corpus may be relative
        return run_job(function, job, started_file)
