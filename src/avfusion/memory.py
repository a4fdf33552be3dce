"""Memory that a process keeps once it is freed."""

import ctypes
import sys

# Numbers of options of glibc's mallopt, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEPT_BYTES = 2**30  # bytes at the end of the heap


def keep_freed_memory() -> None:
    """Let the C library keep what tensors have freed for the next ones, where it is glibc.

    By default each large tensor gets pages from the system that it has to clear first, in every
    step anew: that was a quarter of the CPU time of a training step of lowrank at 32 clips, and a
    third at 128.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
