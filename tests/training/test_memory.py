"""Freed memory stays with the process, where the allocator can be told."""

import subprocess
import sys

import pytest

CODE = """
import ctypes, resource, sys
from zoo.training.memory import keep_freed_memory
told = keep_freed_memory() if sys.argv[1] == "told" else True
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
size = 48 << 20
def step():
    block = libc.malloc(size)
    ctypes.memset(block, 1, size)
    libc.free(block)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_a_block_freed_is_not_cleared_again_by_the_kernel():
    faults = {}
    for how in ("told", "untold"):
        out = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True).stdout
        told, count = out.split()
        assert told == "True"
        faults[how] = int(count)
    assert faults["untold"] > 1000
    assert faults["told"] < faults["untold"] / 100
