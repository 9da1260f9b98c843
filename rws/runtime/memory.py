"""How much memory the machine, or the container, has."""

import os
from functools import cache
from pathlib import Path

_CGROUP = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNKNOWN = 8 << 30


@cache
def memory_bytes() -> int:
    """Bytes of memory that this process may use at most, as they were when it was first asked."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        machine = _UNKNOWN
    return min([machine, *(limit for limit in map(_limit, _CGROUP) if limit)])


def _limit(path: str) -> int | None:
    try:
        text = Path(path).read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
