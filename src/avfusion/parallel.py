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
from contextlib import ExitStack
from multiprocessing.context import BaseContext
from pathlib import Path
from threading import Thread
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avfusion.console import is_interactive
from avfusion.threads import count_cores

FEW = 64  # clips that are decoded by forks
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
    but the jobs that are under way. Few jobs are done by forks of this process, which are there
    at once; many by new processes, which have to import what they need but inherit nothing.

    Raises:
        ChildProcessError: where a process was killed.
        RuntimeError: where a script without ``if __name__ == "__main__":`` asks for processes.
    """
    processes = max(1, min(workers or count_cores(), len(jobs)))
    way = context(sum(sizes))
    if way.get_start_method() == "spawn":
        check_main()
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ExitStack() as stack:
        pool = stack.enter_context(ProcessPoolExecutor(processes, way, initializer=one_thread))
        stack.enter_context(warnings.catch_warnings())
        # Python 3.12 warns of forks with threads: those of torch are not used, see one_thread.
        warnings.filterwarnings("ignore", ".*use of fork.*", DeprecationWarning)
        # Forks begin here, before the bar has a thread whose locks they would inherit.
        futures = {pool.submit(function, job): number for number, job in enumerate(jobs)}
        progress = stack.enter_context(Progress(*columns, disable=not is_interactive()))
        bar = progress.add_task(title, total=sum(sizes))
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


def context(size: int) -> BaseContext:
    """Return how processes come into being for so much work.

    A new one imports torch, which takes longer than to decode many clips. A fork inherits threads
    that do not run in it, as the workers of torch's loaders do; so it computes with one.
    """
    fork = size <= FEW and sys.platform == "linux"
    return multiprocessing.get_context("fork" if fork else "spawn")


def check_main() -> None:
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
    for part in ast.parse(Path(script).read_bytes()).body:
        under_way = part.lineno <= frame.f_lineno <= (part.end_lineno or part.lineno)
        if under_way and not (isinstance(part, ast.If) and "__name__" in ast.unparse(part.test)):
            raise RuntimeError(
                f"Line {frame.f_lineno} of {script} starts processes, and each of them would run "
                'the script again: put its calls under if __name__ == "__main__":'
            )


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
