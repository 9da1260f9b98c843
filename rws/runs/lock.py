"""One process at a time in a run's folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rws.errors import UserError

try:
    import fcntl
except ImportError:  # Windows has no flock; two runs in one folder are then not told apart
    fcntl = None


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a run's folder for as long as the block runs; the system lets go of it however the process ends.

    The lock is a file beside the folder, `.<name>.lock`, which stays.

    Raises: UserError when another process holds it.
    """
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    with open(path, "a+") as file:
        if fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                owner = file.read().strip() or "unknown"
                raise UserError(
                    f"{folder}: process {owner} is at work on this run; wait for it, or take another --name"
                ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
