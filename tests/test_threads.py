"""Claims about cores and threads."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from avfusion import threads
from avfusion.threads import (
    BLOCK_TIME_VARIABLE,
    PARALLEL_JOBS_VARIABLE,
    SPIN_COUNT_VARIABLE,
    THREADS_VARIABLE,
    WAIT_POLICY_VARIABLE,
    count_cores,
    set_up_threads,
)

SECOND = "31 23 0:28 {inside} /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup rw,nsdelegate"
FIRST = "32 31 0:29 {inside} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
OTHER = "33 31 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture(autouse=True)
def many_cores(monkeypatch):
    """A machine of 64 cores on which nothing is set."""
    monkeypatch.setattr(threads, "_count_affinity", lambda: 64)
    monkeypatch.setattr(threads, "_user_set_threads", False)
    for name in (
        THREADS_VARIABLE,
        WAIT_POLICY_VARIABLE,
        SPIN_COUNT_VARIABLE,
        BLOCK_TIME_VARIABLE,
        PARALLEL_JOBS_VARIABLE,
    ):
        monkeypatch.setenv(name, "to be taken back")
        monkeypatch.delenv(name)


def machine(root: Path, group: str, mount: str, files: dict[str, str]) -> Path:
    """Write what a kernel says of the control groups of a process."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(f"4:memory:/other\n{group}\n")
    (root / "proc/self/mountinfo").write_text(f"{OTHER}\n{mount}\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize(
    ("group", "inside", "files", "cores"),
    [
        ("0::/", "/", {"cpu.max": "400000 100000"}, 4),
        ("0::/", "/", {"cpu.max": "max 100000"}, 64),
        ("0::/", "/", {"cpu.max": "150000 100000"}, 1),
        ("0::/", "/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", "/", {"cpu.max": "6400001 100000"}, 64),
        ("0::/", "/", {"cpu.max": "nonsense"}, 64),
        ("0::/", "/", {}, 64),
        ("0::/a/b", "/", {"a/b/cpu.max": "max 100000", "a/cpu.max": "300000 100000"}, 3),
        ("0::/a/b", "/", {"a/b/cpu.max": "200000 100000", "a/cpu.max": "900000 100000"}, 2),
        ("0::/a/b", "/", {"a/c/cpu.max": "200000 100000"}, 64),
        ("0::/docker/x/job", "/docker/x", {"job/cpu.max": "500000 100000"}, 5),
        ("0::/docker/x", "/", {"cpu.max": "500000 100000"}, 5),
        ("0::/../../job", "/", {"cpu.max": "500000 100000"}, 5),
    ],
)
def test_a_quota_of_control_groups_of_version_two_counts_wherever_it_is_set(
    tmp_path, group, inside, files, cores
):
    assert count_cores(machine(tmp_path, group, SECOND.format(inside=inside), files)) == cores


@pytest.mark.parametrize(
    ("group", "inside", "quotas", "cores"),
    [
        ("3:cpu,cpuacct:/", "/", {"": (400_000, 100_000)}, 4),
        ("3:cpuacct,cpu:/", "/", {"": (25_000, 5_000)}, 5),
        ("3:cpu,cpuacct:/", "/", {"": (-1, 100_000)}, 64),
        ("3:cpu,cpuacct:/slurm/job", "/", {"slurm/job": (-1, 100_000), "slurm": (7, 1)}, 7),
        ("3:cpu,cpuacct:/docker/x", "/docker/x", {"": (200_000, 100_000)}, 2),
        ("3:cpuset:/", "/", {"": (400_000, 100_000)}, 64),
    ],
)
def test_a_quota_of_control_groups_of_version_one_counts_wherever_it_is_set(
    tmp_path, group, inside, quotas, cores
):
    files = {}
    for folder, (quota, period) in quotas.items():
        files[f"cpu,cpuacct/{folder}/cpu.cfs_quota_us"] = str(quota)
        files[f"cpu,cpuacct/{folder}/cpu.cfs_period_us"] = str(period)
    assert count_cores(machine(tmp_path, group, FIRST.format(inside=inside), files)) == cores


def test_without_control_groups_the_affinity_counts(tmp_path):
    assert count_cores(tmp_path) == 64


def test_affinity_below_the_quota_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(threads, "_count_affinity", lambda: 3)
    root = machine(tmp_path, "0::/", SECOND.format(inside="/"), {"cpu.max": "400000 100000"})
    assert count_cores(root) == 3


def test_jobs_side_by_side_share_the_cores(tmp_path, monkeypatch):
    monkeypatch.setenv(PARALLEL_JOBS_VARIABLE, "3")
    assert count_cores(tmp_path) == 21
    monkeypatch.setenv(PARALLEL_JOBS_VARIABLE, "100")
    assert count_cores(tmp_path) == 1


def test_a_plain_machine_is_left_to_torch_but_for_waiting(monkeypatch):
    monkeypatch.setattr(threads, "count_cores", lambda: 64)
    set_up_threads()
    assert THREADS_VARIABLE not in os.environ and WAIT_POLICY_VARIABLE not in os.environ
    # None at all costs a quiet machine a third of its speed.
    assert int(os.environ[SPIN_COUNT_VARIABLE]) > 0


def test_fewer_cores_than_the_machine_has_are_said_to_openmp(monkeypatch):
    monkeypatch.setattr(threads, "count_cores", lambda: 4)
    set_up_threads()
    assert os.environ[THREADS_VARIABLE] == "4"


@pytest.mark.parametrize(
    ("name", "value"),
    [(WAIT_POLICY_VARIABLE, "ACTIVE"), (SPIN_COUNT_VARIABLE, "5"), (BLOCK_TIME_VARIABLE, "0")],
)
def test_how_to_wait_is_left_as_the_user_has_set_it(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    before = dict(os.environ)
    monkeypatch.setattr(threads, "count_cores", lambda: 64)
    set_up_threads()
    assert dict(os.environ) == before


ASKED = """
from avfusion.threads import set_up_threads, share_threads
set_up_threads()
import torch
share_threads({processes})
print(torch.get_num_threads())
"""


def threads_of(processes: int, **environment: str) -> int:
    """Return with how many threads one of some processes of a run computes, in a job of a sweep."""
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in (THREADS_VARIABLE, PARALLEL_JOBS_VARIABLE)
    }
    code = ASKED.format(processes=processes)
    process = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, capture_output=True, text=True
    )
    return int(process.stdout)


@pytest.mark.slow
def test_torch_heeds_what_is_set_and_processes_share_it():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert threads_of(1, **{PARALLEL_JOBS_VARIABLE: str(cores)}) == 1
    assert threads_of(cores) == 1
    assert threads_of(cores, **{THREADS_VARIABLE: str(cores)}) == cores  # the user has set it


def test_processes_are_left_to_count_their_own_cores_unless_the_user_has_set_a_number(monkeypatch):
    monkeypatch.setenv(THREADS_VARIABLE, "8")
    for given in (False, True):
        monkeypatch.setattr(threads, "_user_set_threads", given)
        assert (threads.make_child_environment().get(THREADS_VARIABLE) == "8") == given
