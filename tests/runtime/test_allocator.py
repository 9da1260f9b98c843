"""What a process has freed is there at its next use."""

import os
import subprocess
import sys

import pytest

from rws.runtime.allocator import keep_freed_memory

FAULTS = """
import resource, sys
from rws.runtime.allocator import keep_freed_memory
assert sys.argv[1] == "no" or keep_freed_memory()
def use():
    b = bytearray(100 << 20)
    b[:: 4096] = bytes(len(b[:: 4096]))
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: str) -> int:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, keep], capture_output=True, text=True, check=True, env=environment
    )
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of Linux's C library")
def test_memory_that_was_freed_is_used_again():
    assert faults("no") > 10_000
    assert faults("yes") < 1_000


def test_what_the_environment_says_stays(monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    assert not keep_freed_memory()
