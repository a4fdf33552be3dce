"""Work over processes, with one progress bar."""

import multiprocessing
import multiprocessing.connection
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from threading import Thread
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avfusion.console import watched

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_parallel(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    sizes: Sequence[int],
    title: str,
    workers: int | None = None,
) -> Iterator[tuple[int, Result]]:
    """Yield (number of the job, result) as jobs end; the bar advances by a job's size.

    ``workers`` defaults to the cores that this process may use. An exception in a job ends all
    but the jobs that are under way.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = max(1, min(workers or cores or 1, len(jobs)))
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
    with (
        Progress(*columns, disable=not watched()) as progress,
        ProcessPoolExecutor(processes, spawn, initializer=one_thread) as pool,
    ):
        bar = progress.add_task(title, total=sum(sizes))
        futures = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                number = futures[future]
                progress.advance(bar, sizes[number])
                yield number, future.result()
        except BrokenProcessPool as error:
            raise ChildProcessError(
                "A process was killed at work, by a lack of memory or by a broken file that a "
                "decoder crashed on: free memory, or set fewer processes (prepare.workers=1)."
            ) from error
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def one_thread() -> None:
    """Leave the other cores to the other workers, and end with the process that started them."""
    import torch

    Thread(target=end_with_parent, daemon=True).start()

    torch.set_num_threads(1)


def end_with_parent() -> None:
    """Wait for the end of the parent process, however it comes, and end this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
