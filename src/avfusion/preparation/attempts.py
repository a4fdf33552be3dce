"""Attempts at the jobs of a preparation: what fails or is lost is tried again, with progress."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any
from zipfile import BadZipFile

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from avfusion.console import is_interactive
from avfusion.files import write_csv
from avfusion.messages import format_duration, join_items, pluralize
from avfusion.preparation.executors import Executor, Workload

log = logging.getLogger(__name__)
ATTEMPTS = 3  # at a job, before the rest goes on without it
LOG_SECONDS = 60.0  # between lines about progress, where there is no bar
# Seconds until what another machine has written must be seen here: file systems of networks
# remember for up to a minute that a file was not there.
MAX_WAIT_SECONDS = 90.0


def run_workload(
    executor: Executor,
    workload: Workload,
    collect_result: Callable[[int], None],
    list_clips: Callable[[Any], Sequence[str]],
    handle_lost: Callable[[Sequence[int]], bool] = lambda lost: False,
) -> None:
    """Run jobs by an executor, and collect the result of each.

    Results of an earlier, interrupted preparation are collected first. A job that fails, or whose
    worker is lost, is run again once the others have ended. After ``ATTEMPTS`` it is left alone,
    and named when the rest is done.

    Args:
        executor: Runs the jobs.
        workload: Its jobs may be changed between attempts.
        collect_result: Called with the number of each job that is done, in this process.
        list_clips: Names of the clips of a job.
        handle_lost: Called with the jobs whose workers were lost. True if it has removed the cause,
            so that this attempt does not count.

    Raises:
        ValueError: that a job raised: the input is wrong, and would be the next time.
        ChildProcessError: jobs have failed too often.
    """
    pending = [
        n
        for n, job in enumerate(workload.jobs)
        if not _collect_leftover(workload, collect_result, n, job)
    ]
    failures: Counter[int] = Counter()
    failed: dict[int, Exception] = {}
    idle_rounds = 0
    while pending:
        errors, lost = _run_round(executor, workload, pending, collect_result), []
        for number, error in errors.items():
            if isinstance(error, ChildProcessError):
                lost.append(number)
        if lost and handle_lost(lost):
            pending = [number for number in pending if number in errors]
            continue

        begun = [
            n for n in errors if n not in lost or workload.started_file(workload.jobs[n]).exists()
        ]
        idle_rounds = idle_rounds + 1 if len(errors) == len(pending) and not begun else 0
        if idle_rounds == ATTEMPTS:
            raise next(iter(errors.values()))
        for number in begun:
            failures[number] += 1
            log.warning(
                "%s: chunk %s failed (attempt %d of %d): %s",
                workload.title,
                workload.jobs[number].name,
                failures[number],
                ATTEMPTS,
                errors[number],
            )
            if failures[number] == ATTEMPTS:
                failed[number] = errors[number]
        pending = [number for number in pending if number in errors and number not in failed]

    if failed:
        _refuse_failed(workload, failed, list_clips)


def _collect_leftover(
    workload: Workload, collect_result: Callable[[int], None], number: int, job: Any
) -> bool:
    """Collect the result that a job of an earlier preparation has left, if there is one."""
    workload.started_file(job).unlink(missing_ok=True)
    result = workload.result_file(job)
    if not result.exists():
        return False
    try:
        collect_result(number)
    except (BadZipFile, EOFError, KeyError, ValueError, FileNotFoundError):  # by a power failure
        result.unlink()
        return False
    return True


def _run_round(
    executor: Executor,
    workload: Workload,
    pending: Sequence[int],
    collect_result: Callable[[int], None],
) -> dict[int, Exception]:
    """Run some jobs; return the errors of those that have failed."""
    errors: dict[int, Exception] = {}
    total, done = (
        sum(workload.sizes),
        sum(workload.sizes) - sum(workload.sizes[number] for number in pending),
    )
    # Forks begin before the bar has a thread whose locks they would inherit.
    with (
        executor.run(workload.select(pending)) as ended,
        show_progress(workload.title, total, done) as show,
    ):
        for index, error in ended:
            number = pending[index]
            job = workload.jobs[number]
            if error is None and not wait_for_file(workload.result_file(job)):
                error = OSError(
                    f"{workload.result_file(job)} was written elsewhere and is not seen here: all "
                    "workers must share the file system of prepare.stores."
                )
            if isinstance(error, ValueError):
                raise error
            if error is not None:
                errors[number] = error
                continue
            collect_result(number)
            show(workload.sizes[number])

    return errors


def wait_for_file(file: Path) -> bool:
    """Wait for a file that another machine has written; say whether it is there."""
    end = monotonic() + MAX_WAIT_SECONDS
    while not file.exists():
        if monotonic() > end:
            return False
        sleep(0.5)
        list(file.parent.iterdir())  # which lets a file system look again
    return True


def _refuse_failed(
    workload: Workload, failed: dict[int, Exception], list_clips: Callable[[Any], Sequence[str]]
) -> None:
    """Name the clips of the jobs that have failed too often, and list all in a file."""
    clips = {number: list_clips(workload.jobs[number]) for number in failed}
    rows = [(clip, failed[number]) for number, names in clips.items() for clip in names]
    file = write_csv(workload.folder / "failed.csv", ("clip_id", "error"), rows)
    names = [*chain(*clips.values())]
    last = next(reversed(failed.values()))
    raise ChildProcessError(
        f"{pluralize(len(failed), 'chunk')} of {len(workload.jobs)} failed {ATTEMPTS} times, with "
        f"{pluralize(len(names), 'clip')} ({join_items(names)}); {file} lists them. The last "
        f"reason: {last} All else is written: the same command tries again what is left."
    ) from last


@contextmanager
def show_progress(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Show progress by a bar, or in the log; yield a function that counts clips that are done."""
    first, started = done, perf_counter()
    logged = started
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not is_interactive(), transient=True) as progress:
        bar = progress.add_task(title, total=total, completed=done)

        def show(clips: int) -> None:
            nonlocal done, logged
            done += clips
            progress.advance(bar, clips)
            now = perf_counter()
            if progress.disable and now - logged > LOG_SECONDS and done < total:
                logged, left = now, (now - started) * (total - done) / (done - first)
                log.info("%s: %d of %d clips, %s left", title, done, total, format_duration(left))

        yield show
