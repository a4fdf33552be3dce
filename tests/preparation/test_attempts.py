"""Claims about attempts at the jobs of a preparation, whoever does them."""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import pytest

from avfusion.preparation import attempts
from avfusion.preparation.attempts import run_workload
from avfusion.preparation.executors import (
    FinishedJob,
    WorkerRequirements,
    Workload,
    run_job,
    run_remote_job,
)
from avfusion.preparation.executors.local import InProcess


class Job(NamedTuple):
    name: str


@pytest.fixture
def work(tmp_path):
    """Four jobs of ten clips, each of which leaves its file and is counted."""
    done = []

    def do(job):
        done.append(job.name)
        np.savez(tmp_path / f"{job.name}.npz")

    return Workload("Working", tmp_path, do, [Job(name) for name in "abcd"], [10] * 4), done


def run(work, taken, executor=None, **options):
    names = lambda job: [f"{job.name}_{n}" for n in (1, 2)]  # noqa: E731
    run_workload(
        executor or InProcess(), work, lambda n: taken.append(work.jobs[n].name), names, **options
    )


def test_jobs_that_have_left_their_file_are_taken_in_and_not_done_again(work, tmp_path):
    (work, done), taken = work, []
    np.savez(tmp_path / "c.npz")
    run(work, taken)
    assert taken == ["c", "a", "b", "d"] and done == ["a", "b", "d"]


def test_a_job_that_fails_is_done_again_and_one_that_always_does_is_named_at_the_end(
    work, tmp_path, caplog
):
    (work, done), taken, begun = work, [], []

    def do(job):
        begun.append(job.name)
        if job.name == "b" or (job.name == "c" and begun.count("c") < 3):
            raise RuntimeError(f"No {job.name}.")
        work.function(job)

    with pytest.raises(
        ChildProcessError, match=r"1 chunk of 4 failed 3 times, with 2 clips \(b_1, b_2"
    ):
        run(work._replace(function=do), taken)
    assert taken == done == ["a", "d", "c"] and begun == [*"abcd", *"bc", *"bc"]
    assert (tmp_path / "failed.csv").read_text().splitlines()[1:] == ["b_1,No b.", "b_2,No b."]
    assert "chunk c failed (attempt 2 of 3): No c." in caplog.text


def test_wrong_input_ends_all_at_once(work):
    (work, _), begun = work, []

    def do(job):
        begun.append(job.name)
        raise ValueError("Clip x cannot be used.")

    with pytest.raises(ValueError, match="Clip x"):
        run(work._replace(function=do), [])
    assert begun == ["a"]


class Losing:
    """An executor that loses the worker of the first jobs, begun or not, so many times."""

    is_remote = True

    def __init__(self, times, begins):
        self.times, self.begins = times, begins

    def check(self):
        """It loses workers, not itself."""

    @contextmanager
    def run(self, work):
        yield self.list_ended(work)

    def list_ended(self, work):
        self.times -= 1
        for number, job in enumerate(work.jobs):
            if self.times >= 0 and job.name in "ab":
                if self.begins:
                    work.started_file(job).touch()
                yield FinishedJob(number, ChildProcessError("The worker was lost."))
            else:
                yield FinishedJob(number, run_job(work.function, job, work.started_file(job)))


@pytest.mark.parametrize(("times", "begins"), [(2, True), (2, False), (9, False)])
def test_what_a_lost_worker_was_at_is_done_again(work, times, begins):
    """What it had not begun does not count, but where nothing at all can begin."""
    (work, done), taken = work, []
    if times == 9:
        with pytest.raises(ChildProcessError, match="The worker was lost"):
            run(work, taken, Losing(times, begins))
        assert sorted(taken) == ["c", "d"]
    else:
        run(work, taken, Losing(times, begins))
        assert taken == done == ["c", "d", "a", "b"]


def test_a_loss_whose_reason_is_removed_does_not_count(work):
    (work, _), taken, seen = work, [], []
    run(work, taken, Losing(5, True), handle_lost=lambda lost: not seen.append(lost))
    assert seen == [[0, 1]] * 5 and taken == ["c", "d", "a", "b"]


def test_what_was_written_where_this_machine_does_not_see_it_counts_as_failed(work, monkeypatch):
    monkeypatch.setattr(attempts, "MAX_WAIT_SECONDS", 0.0)
    work, _ = work
    with pytest.raises(ChildProcessError, match="is not seen here: all workers must share"):
        run(work._replace(function=lambda job: None), [])


def test_a_worker_without_the_file_system_is_refused_and_one_with_it_computes_alone(work, tmp_path):
    (work, done), requirements = work, WorkerRequirements.of_process(work[0].folder)
    job = work.jobs[0]
    other = requirements._replace(folders=(*requirements.folders, tmp_path / "elsewhere"))
    error = run_remote_job(work.function, job, work.started_file(job), other)
    assert isinstance(error, ValueError) and "prepare.shard=1/2" in str(error) and not done
    assert run_remote_job(
        work.function, job, work.started_file(job), requirements
    ) is None and done == ["a"]


def test_an_error_that_cannot_be_sent_keeps_its_words(work):
    work, _ = work

    def fail(job):
        raise KeyError(lambda: "no function can be sent")

    error = run_job(fail, work.jobs[0], work.started_file(work.jobs[0]))
    assert type(error) is RuntimeError and str(error).startswith("KeyError: <function ")
    assert not work.started_file(work.jobs[0]).exists()


def test_where_there_is_no_bar_lines_tell_how_many_clips_are_done(work, monkeypatch, caplog):
    monkeypatch.setattr(attempts, "LOG_SECONDS", 0.0)
    caplog.set_level("INFO")
    work, _ = work
    run(work, [])
    lines = [message.rpartition(",")[0] for message in caplog.messages]
    assert lines == [f"Working: {done} of 40 clips" for done in (10, 20, 30)]
