"""Claims about work over processes."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from avfusion import parallel
from avfusion.corpora.recording import Recording
from avfusion.parallel import run_parallel

# A job is an expression, as another process can import nothing of a test.
WHO = "(__import__('os').getpid(), __import__('torch').get_num_threads())"
SLEEP = "__import__('time').sleep"


@pytest.fixture
def threads(monkeypatch):
    """Let threads do the work of processes, and tell how many were asked for."""
    asked = []

    def pool(processes, context, initializer):
        asked.append(processes)
        return ThreadPoolExecutor(processes)

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", pool)
    return asked


@pytest.fixture(scope="module")
def failing_run(tmp_path_factory):
    """The results of a run until one of its jobs fails, and the files of those after it."""
    folder, results = tmp_path_factory.mktemp("jobs"), {}
    later = [f"sleep(0.1) or open(r'{folder / str(number)}', 'w').close()" for number in range(20)]
    jobs = [job.replace("sleep", SLEEP) for job in ("sleep(0.5) or 1 / 0", *later)]
    with pytest.raises(ZeroDivisionError):
        results.update(run_parallel(eval, [WHO, WHO, *jobs], [1] * 23, "Working", workers=1))
    return results, list(folder.iterdir())


def test_another_process_works_with_one_thread(failing_run):
    results, _ = failing_run
    assert sorted(results) == [0, 1]
    assert results[0][0] == results[1][0] != os.getpid()
    assert results[0][1] == 1


def test_an_exception_in_a_job_ends_all(failing_run):
    _, files = failing_run
    assert len(files) < 20


def test_results_come_with_the_numbers_of_their_jobs_as_they_end(threads):
    first_may_end = threading.Event()

    def work(job):
        if job == "slow":
            assert first_may_end.wait(10)
        return job.upper()

    results = run_parallel(work, ["slow", "quick"], [1, 1], "Working", workers=2)
    assert next(results) == (1, "QUICK")
    first_may_end.set()
    assert list(results) == [(0, "SLOW")]


def test_the_bar_advances_by_the_size_of_each_job(threads, monkeypatch):
    shown = []

    class Bar(parallel.Progress):
        def advance(self, task_id, advance=1):
            super().advance(task_id, advance)
            shown.append((self.tasks[0].completed, self.tasks[0].total))

    monkeypatch.setattr(parallel, "Progress", Bar)
    list(run_parallel(str, [1, 2, 3], [10, 20, 5], "Working", workers=1))
    assert [total for _, total in shown] == [35] * 3 and shown[-1][0] == 35
    assert sorted(np.diff([0, *(completed for completed, _ in shown)])) == [5, 10, 20]


@pytest.mark.parametrize(("workers", "jobs", "processes"), [(3, 9, 3), (8, 2, 2), (5, 0, 1)])
def test_there_are_no_more_processes_than_jobs(threads, workers, jobs, processes):
    results = dict(run_parallel(str, list(range(jobs)), [1] * jobs, "Working", workers))
    assert results == {number: str(number) for number in range(jobs)}
    assert threads == [processes]


def test_there_is_a_process_for_each_core_that_may_be_used(threads, monkeypatch):
    monkeypatch.setattr(parallel, "count_cores", lambda: 3)
    list(run_parallel(str, list(range(9)), [1] * 9, "Working"))
    assert threads == [3]


def test_a_process_that_is_killed_ends_the_work_with_one_sentence():
    with pytest.raises(ChildProcessError, match="use fewer processes"):
        list(run_parallel(eval, ["__import__('os')._exit(9)"], [1], "Working", workers=1))


UNGUARDED = """
from avfusion.parallel import run_parallel
def work():
    print(sorted(run_parallel(abs, [-1], [{size}], "Working")))
{call}
"""


def run_script(tmp_path: Path, size: int, call: str) -> subprocess.CompletedProcess:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED.format(size=size, call=call))
    return subprocess.run([sys.executable, script], capture_output=True, text=True)


def test_a_script_that_new_processes_would_run_again_is_told_what_to_change(tmp_path):
    process = run_script(tmp_path, 1000, "work()")
    assert process.returncode == 1 and process.stderr.count("Traceback") == 1
    (sentence,) = [x for x in process.stderr.splitlines() if x.startswith("RuntimeError: ")]
    assert f"Line 5 of {tmp_path / 'script.py'} starts processes" in sentence
    assert 'if __name__ == "__main__":' in sentence


@pytest.mark.slow
def test_a_script_that_runs_once_starts_processes(tmp_path):
    process = run_script(tmp_path, 1000, 'if __name__ == "__main__":\n    work()')
    assert process.stdout == "[(0, 1)]\n", process.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux only")
@pytest.mark.slow
def test_few_jobs_are_done_by_forks_which_import_nothing_again(tmp_path):
    process = run_script(tmp_path, 1, "work()")
    assert process.stdout == "[(0, 1)]\n", process.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="forks are made on Linux only")
@pytest.mark.slow
def test_a_fork_computes_what_a_new_process_and_this_one_do(small_features, recordings):
    picture, sound = recordings / "s0_0.png", recordings / "s0_0.wav"
    clip = Recording("s0_0", "high", "s0", "train", image=picture, audio=sound)
    here = small_features(clip)
    for size in (1, parallel.MAX_FORKED_SIZE + 1):
        ((_, there),) = run_parallel(small_features, [clip], [size], "Working")
        for name in ("face", "waveform", "audio"):
            assert np.array_equal(getattr(there, name), getattr(here, name))


def ended(process: Path) -> bool:
    """Say whether a process, by its folder in /proc, is gone or waits for its parent's notice."""
    try:
        return (process / "stat").read_text().split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(tmp_path):
    job = f"[open(r'{tmp_path}/pid', 'w').write(str(__import__('os').getpid())), {SLEEP}(60)]"
    code = (
        f"from avfusion.parallel import run_parallel; list(run_parallel(eval, [{job!r}], [1], 'x'))"
    )
    script = tmp_path / "main.py"
    script.write_text(f"if __name__ == '__main__':\n    {code}\n")
    parent = subprocess.Popen([sys.executable, script])
    pid = tmp_path / "pid"
    while not (pid.exists() and pid.read_text()):
        assert parent.poll() is None
        time.sleep(0.1)
    worker = Path("/proc") / pid.read_text()
    assert worker.exists()
    parent.kill()
    parent.wait()
    for _ in range(100):
        if ended(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived the process that started it by ten seconds")
