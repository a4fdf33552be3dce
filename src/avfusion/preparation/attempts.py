"""Attempts at the jobs of a preparation: what is lost is done again, and progress is shown."""

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
from avfusion.preparation.executors import Executor, Work

log = logging.getLogger(__name__)
ATTEMPTS = 3  # at a job, before the rest goes on without it
LOG_SECONDS = 60.0  # between lines about progress, where there is no bar
# Seconds until what another machine has written must be seen here: file systems of networks
# remember for up to a minute that a file was not there.
PATIENCE_SECONDS = 90.0


def run_work(
    executor: Executor,
    work: Work,
    take_in: Callable[[int], None],
    list_clips: Callable[[Any], Sequence[str]],
    excuse: Callable[[Sequence[int]], bool] = lambda lost: False,
) -> None:
    """Have jobs done by an executor, and take in what each of them has written.

    What jobs of an earlier, interrupted preparation have left is taken in first. A job that fails,
    or whose worker is lost, is done again once the others have ended. After ``ATTEMPTS`` it is left
    alone, and named when the rest is done.

    Args:
        executor: Does the jobs.
        work: Whose jobs may be changed between attempts.
        take_in: Called with the number of each job that is done, in this process.
        list_clips: Names of the clips of a job.
        excuse: Called with the jobs whose workers were lost; says whether it has found the reason
            and changed the jobs, so that this attempt does not count.

    Raises:
        ValueError: that a job raised: the input is wrong, and would be the next time.
        ChildProcessError: jobs have failed too often.
    """
    todo = [n for n, job in enumerate(work.jobs) if not _take_in_rest(work, take_in, n, job)]
    failures: Counter[int] = Counter()
    failed: dict[int, Exception] = {}
    idle_rounds = 0
    while todo:
        errors, lost = _run_round(executor, work, todo, take_in), []
        for number, error in errors.items():
            if isinstance(error, ChildProcessError):
                lost.append(number)
        if lost and excuse(lost):
            todo = [number for number in todo if number in errors]
            continue

        begun = [n for n in errors if n not in lost or work.mark(work.jobs[n]).exists()]
        idle_rounds = idle_rounds + 1 if len(errors) == len(todo) and not begun else 0
        if idle_rounds == ATTEMPTS:
            raise next(iter(errors.values()))
        for number in begun:
            failures[number] += 1
            log.warning(
                "%s: part %s failed (attempt %d of %d): %s",
                work.title,
                work.jobs[number].name,
                failures[number],
                ATTEMPTS,
                errors[number],
            )
            if failures[number] == ATTEMPTS:
                failed[number] = errors[number]
        todo = [number for number in todo if number in errors and number not in failed]

    if failed:
        _refuse_failed(work, failed, list_clips)


def _take_in_rest(work: Work, take_in: Callable[[int], None], number: int, job: Any) -> bool:
    """Take in what a job has left that nobody waited for; say whether there is anything."""
    work.mark(job).unlink(missing_ok=True)
    result = work.result(job)
    if not result.exists():
        return False
    try:
        take_in(number)
    except (BadZipFile, EOFError, KeyError, ValueError, FileNotFoundError):  # by a power failure
        result.unlink()
        return False
    return True


def _run_round(
    executor: Executor, work: Work, todo: Sequence[int], take_in: Callable[[int], None]
) -> dict[int, Exception]:
    """Have some jobs done; return the errors of those that were not."""
    errors: dict[int, Exception] = {}
    total, done = sum(work.sizes), sum(work.sizes) - sum(work.sizes[number] for number in todo)
    # Forks begin before the bar has a thread whose locks they would inherit.
    with executor.run(work.select(todo)) as ended, show_progress(work.title, total, done) as show:
        for index, error in ended:
            number = todo[index]
            job = work.jobs[number]
            if error is None and not wait_for(work.result(job)):
                error = OSError(
                    f"{work.result(job)} was written elsewhere and is not seen here: all workers "
                    "must share the file system of prepare.stores."
                )
            if isinstance(error, ValueError):
                raise error
            if error is not None:
                errors[number] = error
                continue
            take_in(number)
            show(work.sizes[number])

    return errors


def wait_for(file: Path) -> bool:
    """Wait for a file that another machine has written; say whether it is there."""
    end = monotonic() + PATIENCE_SECONDS
    while not file.exists():
        if monotonic() > end:
            return False
        sleep(0.5)
        list(file.parent.iterdir())  # which lets a file system look again
    return True


def _refuse_failed(
    work: Work, failed: dict[int, Exception], list_clips: Callable[[Any], Sequence[str]]
) -> None:
    """Name the clips of the jobs that have failed too often, and list all in a file."""
    clips = {number: list_clips(work.jobs[number]) for number in failed}
    rows = [(clip, failed[number]) for number, names in clips.items() for clip in names]
    file = write_csv(work.folder / "failed.csv", ("clip_id", "error"), rows)
    names = [*chain(*clips.values())]
    last = next(reversed(failed.values()))
    raise ChildProcessError(
        f"{pluralize(len(failed), 'part')} of {len(work.jobs)} failed {ATTEMPTS} times, with "
        f"{pluralize(len(names), 'clip')} ({join_items(names)}); {file} lists them. The last "
        f"reason: {last} All else is written: the same command tries again what is left."
    ) from last


@contextmanager
def show_progress(title: str, total: int, done: int) -> Iterator[Callable[[int], None]]:
    """Give a function that is told of clips that are done, and tell people what is left."""
    first, started = done, perf_counter()
    told = started
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not is_interactive(), transient=True) as progress:
        bar = progress.add_task(title, total=total, completed=done)

        def show(clips: int) -> None:
            nonlocal done, told
            done += clips
            progress.advance(bar, clips)
            now = perf_counter()
            if progress.disable and now - told > LOG_SECONDS and done < total:
                told, left = now, (now - started) * (total - done) / (done - first)
                log.info("%s: %d of %d clips, %s left", title, done, total, format_duration(left))

        yield show
