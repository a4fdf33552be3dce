"""Claims about memory that a process keeps."""

import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAM = """
import ctypes, resource, sys
from avfusion.memory import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(5):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = libc.malloc(2**26)
    ctypes.memset(held, 1, 2**26)
    libc.free(held)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc is the C library of Linux")
def test_memory_that_was_freed_needs_no_new_pages():
    def count_faults(how: str) -> int:
        command = [sys.executable, "-c", PROGRAM, how]
        return int(subprocess.check_output(command, cwd=ROOT / "src", timeout=60))

    assert count_faults("keep") < 100 < count_faults("default")
