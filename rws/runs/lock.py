"""One process at a time in a run's folder."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rws.errors import UserError
from rws.runtime.bars import say

try:
    import fcntl
except ImportError:  # Windows has no flock; two runs in one folder are then not told apart
    fcntl = None

_HELD_BY_ANOTHER = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)
_held: set[TextIO] = set()


def _let_go() -> None:
    """A process that was forked off closes its copies, so that it does not hold what its parent locked."""
    while _held:
        _held.pop().close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a run's folder for as long as the block runs; the system lets go of it however the process ends.

    The lock is a file beside the folder, `.<name>.lock`, which stays. The processes that load data do not
    hold it. Where the file system has no locks, a warning is all there is.

    Raises: UserError when another process holds it.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    with open(path, "a+") as file:
        _lock(file, folder)
        _held.add(file)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            _held.discard(file)


def _lock(file: TextIO, folder: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _HELD_BY_ANOTHER:
            say(
                f"warning: {file.name}: cannot be locked ({error.strerror}); nothing keeps a second process "
                f"from {folder}"
            )
            return
        file.seek(0)
        number = file.read().strip()
        owner = f"process {number}" if number else "another process"
        raise UserError(
            f"{folder}: {owner} is at work on this run; wait for it, or take another --name"
        ) from None
