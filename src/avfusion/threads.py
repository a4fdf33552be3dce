"""Threads: how many cores this process may use, and how torch's threads wait for each other.

Imports nothing heavy, as OpenMP reads the environment when torch is loaded: before that,
``set_up_threads`` has to be called. Whatever the user has set stays as it is.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

log = logging.getLogger(__name__)
# How many jobs of a sweep run side by side, which the launcher tells each of them.
SIDE_BY_SIDE = "AVFUSION_JOBS_SIDE_BY_SIDE"
COUNT, POLICY, SPINS = "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"
# Rounds that a waiting thread asks for work before it sleeps; libgomp's own number is 300,000. One
# training step of lowrank on two cores, medians in turns: quiet 115 ms (libgomp's own 118, 3,000
# rounds 113), beside three busy processes 476 (938, 436). In a run of its own
# OMP_WAIT_POLICY=PASSIVE took 172 against libgomp's 121 when quiet, and 343 against 834 when not.
SPIN_COUNT = 10_000
_count_is_given = COUNT in os.environ


def set_up_threads() -> None:
    """Set, before torch is loaded, how OpenMP waits and how many threads it has at most.

    The number is left to torch where every core may be used: it counts cores, not hyperthreads.
    """
    if not {POLICY, SPINS, "KMP_BLOCKTIME"} & set(os.environ):
        os.environ[SPINS] = str(SPIN_COUNT)
    if not _count_is_given and count_cores() < _count_affinity():
        os.environ[COUNT] = str(count_cores())


def environment_of_children() -> dict[str, str]:
    """Return the environment without a number of threads that the user has not set.

    Each process counts its own cores.
    """
    return {k: v for k, v in os.environ.items() if k != COUNT or _count_is_given}


def share_threads(processes: int) -> None:
    """Divide the cores among processes of one run on this machine; torch is loaded already."""
    import torch

    if not _count_is_given and processes > 1:
        threads = max(1, count_cores() // processes)
        os.environ[COUNT] = str(threads)  # of the processes that this one starts
        torch.set_num_threads(threads)


def log_threads() -> None:
    """Say once with how many threads is computed."""
    import torch

    threads, cores = torch.get_num_threads(), count_cores()
    log.info("Computing with %d of %d cores (OMP_NUM_THREADS sets them).", threads, cores)


def count_cores(root: Path = Path("/")) -> int:
    """Return how many cores this process may use, at least one.

    Those that are allowed are shared by the jobs of a sweep that run side by side.
    """
    return max(1, count_allowed_cores(root) // max(1, int(os.environ.get(SIDE_BY_SIDE) or 1)))


def count_allowed_cores(root: Path = Path("/")) -> int:
    """Return how many cores affinity and the quotas of control groups allow, at least one.

    ``root`` is where ``/proc`` lies.
    """
    quota = min(_quotas(root), default=float("inf"))
    return max(1, int(min(_count_affinity(), quota + 0.01)))  # three of 2.999 cores


def _count_affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yield the cores that each control group around this process allows, by version 1 and 2."""
    try:
        groups = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
        mounts = (root / "proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return
    for mount in mounts:
        before, _, after = mount.partition(" - ")
        inside, place = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        for group in groups:
            _, controllers, path = group.split(":", 2)
            second = kind == "cgroup2" and not controllers
            first = kind == "cgroup" and "cpu" in controllers.split(",")
            if second or (first and "cpu" in options.split(" ")[-1].split(",")):
                yield from _quotas_along(root / place.lstrip("/"), path, inside)


def _quotas_along(place: Path, path: str, inside: str) -> Iterator[float]:
    """Yield the quotas of a group and of those around it, up to where the file system begins.

    A container sees its own group as the top one (``inside``), whatever its path is outside.
    """
    group = PurePosixPath(path)
    if inside != "/" and group.is_relative_to(inside):
        group = group.relative_to(inside)
    parts = [part for part in group.parts if part not in ("/", "..")]
    for depth in range(len(parts), -1, -1):
        folder = place.joinpath(*parts[:depth])
        for read in (_quota_of_second, _quota_of_first):
            try:
                quota = read(folder)
            except (OSError, ValueError):
                continue
            if quota is not None:
                yield quota


def _quota_of_second(folder: Path) -> float | None:
    quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
    return None if quota == "max" else int(quota) / int(period)


def _quota_of_first(folder: Path) -> float | None:
    quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
    period = int((folder / "cpu.cfs_period_us").read_text(encoding="utf-8"))
    return None if quota <= 0 else quota / period
