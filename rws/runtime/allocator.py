"""The C library's memory, kept between one use and the next.

glibc gives what is freed back to the system where it lies at the end of the heap, and asks anew for each
tensor of some megabytes: then the system clears page after page. A small network spends a fifth of a
prediction on that.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# mallopt's numbers of <malloc.h>. What is asked for at once up to the first comes from the heap; of the heap
# so much stays when it is free.
_LIMITS = {-3: ("MALLOC_MMAP_THRESHOLD_", 256 << 20), -1: ("MALLOC_TRIM_THRESHOLD_", 1 << 30)}


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB that it has freed; whether that is so.

    Not on another system than Linux with glibc, nor where the environment says how much to keep.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name, _ in _LIMITS.values()):
        return False
    return _set({number: most for number, (_, most) in _LIMITS.items()})


def _set(limits: dict[int, int]) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(*limit) for limit in limits.items())


@contextmanager
def usual_memory() -> Iterator[None]:
    """Inside the block, for a comparison, glibc keeps what it would at most; then what the commands keep."""
    _set({-3: 32 << 20, -1: 64 << 20})
    try:
        yield
    finally:
        keep_freed_memory()
