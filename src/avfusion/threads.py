"""CPU cores and threads: how many this process may use, and how OpenMP's threads wait.

Imports nothing heavy: OpenMP reads the environment when torch is loaded, and ``set_up_threads`` has
to be called before that. Whatever the user has set stays as it is.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

log = logging.getLogger(__name__)
# The launcher of sweeps sets it to the number of jobs that run at once.
PARALLEL_JOBS_VARIABLE = "AVFUSION_PARALLEL_JOBS"
THREADS_VARIABLE = "OMP_NUM_THREADS"
WAIT_POLICY_VARIABLE = "OMP_WAIT_POLICY"
SPIN_COUNT_VARIABLE = "GOMP_SPINCOUNT"
BLOCK_TIME_VARIABLE = "KMP_BLOCKTIME"
# Rounds that a waiting thread asks for work before it sleeps; libgomp's own number is 300,000. One
# training step of lowrank on two cores, medians in turns: quiet 115 ms (libgomp's own 118, 3,000
# rounds 113), beside three busy processes 476 (938, 436). In a run of its own
# OMP_WAIT_POLICY=PASSIVE took 172 against libgomp's 121 when quiet, and 343 against 834 when not.
SPIN_COUNT = 10_000
_user_set_threads = THREADS_VARIABLE in os.environ


def set_up_threads() -> None:
    """Set, before torch is loaded, how OpenMP waits and how many threads it has at most.

    Where every core may be used, the number is left to torch: it counts cores, not hyperthreads.
    """
    waiting = {WAIT_POLICY_VARIABLE, SPIN_COUNT_VARIABLE, BLOCK_TIME_VARIABLE}
    if not waiting & set(os.environ):
        os.environ[SPIN_COUNT_VARIABLE] = str(SPIN_COUNT)

    if not _user_set_threads and count_cores() < _count_affinity():
        os.environ[THREADS_VARIABLE] = str(count_cores())


def make_child_environment() -> dict[str, str]:
    """Copy the environment, without a number of threads that the user has not set.

    Each process counts its own cores.
    """
    return {k: v for k, v in os.environ.items() if k != THREADS_VARIABLE or _user_set_threads}


def share_threads(processes: int) -> None:
    """Divide the cores among processes of one run on this machine; torch is loaded already."""
    import torch

    if not _user_set_threads and processes > 1:
        threads = max(1, count_cores() // processes)
        os.environ[THREADS_VARIABLE] = str(threads)  # of the processes that this one starts
        torch.set_num_threads(threads)


def log_threads() -> None:
    """Log how many threads torch computes with."""
    import torch

    threads, cores = torch.get_num_threads(), count_cores()
    log.info("Computing with %d of %d cores (OMP_NUM_THREADS sets them).", threads, cores)


def count_cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may use, at least one.

    The allowed cores are divided among the jobs of a sweep that run at once.
    """
    jobs = max(1, int(os.environ.get(PARALLEL_JOBS_VARIABLE) or 1))
    return max(1, count_allowed_cores(root) // jobs)


def count_allowed_cores(root: Path = Path("/")) -> int:
    """Count the cores that CPU affinity and the quotas of control groups allow, at least one.

    ``root`` holds ``proc`` and ``sys``.
    """
    quota = min(_read_quotas(root), default=float("inf"))
    return max(1, int(min(_count_affinity(), quota + 0.01)))  # a quota of 2.999 is three cores


def _count_affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_quotas(root: Path) -> Iterator[float]:
    """Yield the cores that each control group around this process allows, by version 1 and 2."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return

    for mount in mounts:
        before, _, after = mount.partition(" - ")
        inside, mount_point = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        for group in groups:
            _, controllers, path = group.split(":", 2)
            version_2 = kind == "cgroup2" and not controllers
            version_1 = kind == "cgroup" and "cpu" in controllers.split(",")
            if version_2 or (version_1 and "cpu" in options.split(" ")[-1].split(",")):
                yield from _read_quotas_along(root / mount_point.lstrip("/"), path, inside)


def _read_quotas_along(mount_point: Path, path: str, inside: str) -> Iterator[float]:
    """Yield the quotas of a group and of those around it, up to where the file system begins.

    A container sees its own group as the top one (``inside``), whatever its path is outside.
    """
    group = PurePosixPath(path)
    if inside != "/" and group.is_relative_to(inside):
        group = group.relative_to(inside)
    parts = [part for part in group.parts if part not in ("/", "..")]

    for depth in range(len(parts), -1, -1):
        folder = mount_point.joinpath(*parts[:depth])
        for read in (_read_quota_version_2, _read_quota_version_1):
            try:
                quota = read(folder)
            except (OSError, ValueError):
                continue
            if quota is not None:
                yield quota


def _read_quota_version_2(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
    return None if quota == "max" else int(quota) / int(period)


def _read_quota_version_1(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
    period = int((folder / "cpu.cfs_period_us").read_text(encoding="utf-8"))
    return None if quota <= 0 else quota / period
