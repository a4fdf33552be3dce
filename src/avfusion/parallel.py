"""Work over processes, with one progress bar."""

import ast
import multiprocessing
import multiprocessing.connection
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Thread
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avfusion.console import is_interactive
from avfusion.threads import count_cores

KILLED_MESSAGE = (
    "A worker process was killed: memory ran out, or a decoder crashed on a broken file. Free "
    "memory, or use fewer processes (prepare.workers=1)."
)
MAX_FORKED_SIZE = 64  # clips, above which new processes are worth their imports
Job = TypeVar("Job")
Result = TypeVar("Result")


def run_parallel(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    sizes: Sequence[int],
    title: str,
    workers: int | None = None,
) -> Iterator[tuple[int, Result]]:
    """Run jobs in processes and yield (number of the job, result) in the order in which they end.

    Little work is done by forks of this process, which start at once; much by new processes, which
    import what they need but inherit nothing. An exception in a job cancels the jobs that have not
    begun.

    Args:
        function: Picklable, called with one job.
        jobs: Arguments of ``function``.
        sizes: How far each job advances the progress bar, such as its number of clips.
        title: Of the progress bar.
        workers: Number of processes; by default the cores that this process may use.

    Raises:
        ChildProcessError: A process was killed.
        RuntimeError: A script without ``if __name__ == "__main__":`` would start new processes.
    """
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with open_pool(len(jobs), sum(sizes), workers) as pool:
        # Forks begin here, before the bar has a thread whose locks they would inherit.
        futures = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        with Progress(*columns, disable=not is_interactive()) as progress:
            bar = progress.add_task(title, total=sum(sizes))
            try:
                for future in as_completed(futures):
                    number = futures[future]
                    progress.advance(bar, sizes[number])
                    yield number, future.result()
            except BrokenProcessPool as error:
                raise ChildProcessError(KILLED_MESSAGE) from error


@contextmanager
def open_pool(jobs: int, size: int, workers: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Open a pool of processes for so many jobs, of so many clips; an error cancels its jobs."""
    processes = max(1, min(workers or count_cores(), jobs))
    context = _choose_context(size)
    if context.get_start_method() == "spawn":
        _check_main_guard()

    with warnings.catch_warnings():
        # Python 3.12 warns of forks with threads: workers do not use those of torch.
        warnings.filterwarnings("ignore", ".*use of fork.*", DeprecationWarning)
        with ProcessPoolExecutor(processes, context, initializer=_initialize_worker) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise


def _choose_context(size: int) -> BaseContext:
    """Fork for little work, spawn for much.

    A new process imports torch, which takes longer than to decode many clips. A fork inherits
    threads that do not run in it, as the workers of torch's loaders do; so it computes with one.
    """
    fork = size <= MAX_FORKED_SIZE and sys.platform == "linux"
    return multiprocessing.get_context("fork" if fork else "spawn")


def _check_main_guard() -> None:
    """Refuse new processes that would run the user's script again, as they import it first."""
    main = sys.modules["__main__"]
    script = getattr(main, "__file__", None)

    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals is not vars(main):
        frame = frame.f_back
    while frame.f_back is not None and frame.f_code.co_name != "<module>":
        frame = frame.f_back
    if script is None or frame.f_globals is not vars(main) or not Path(script).is_file():
        return  # a notebook, or a program that was started in another way

    for statement in ast.parse(Path(script).read_bytes()).body:
        running = statement.lineno <= frame.f_lineno <= (statement.end_lineno or statement.lineno)
        guarded = isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
        if running and not guarded:
            raise RuntimeError(
                f"Line {frame.f_lineno} of {script} starts processes, and each of them would run "
                'the script again: put its calls under if __name__ == "__main__":'
            )


def _initialize_worker() -> None:
    """Leave the other cores to the other workers, and end with the process that started them."""
    import torch

    Thread(target=_exit_with_parent, daemon=True).start()
    torch.set_num_threads(1)


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
