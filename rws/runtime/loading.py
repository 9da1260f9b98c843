"""A loader whose batches arrive where shared memory is small, too, and whose end is told in one line.

torch's own loader shares batches in a thread that nobody watches: where /dev/shm is full, as in a container
with docker's 64 MB, it prints a traceback, drops the batch and waits for it without end.
"""

import errno
import os
import pickle
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from multiprocessing.reduction import ForkingPickler
from types import FrameType

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from rws.errors import UserError
from rws.runtime.bars import say

SHARED = "/dev/shm"
MOST_PER_CORE = 16
_SHM = "give it more (docker run --shm-size 2g), or load in this process by --data.workers 0"
_FEWER = "take fewer by --data.workers (0 loads in this process) or a smaller --train.batch-size"
_FILES = "allow more by `ulimit -n 4096`, or load in this process by --data.workers 0"
# Of the system's errors at the start of a process, what is missing and the way out.
_MISSING = {
    errno.ENOSPC: f"{SHARED} is full; {_SHM}",
    errno.ENOMEM: f"no memory for another process; {_FEWER}",
    errno.EAGAIN: f"no further process is allowed; {_FEWER}",
    errno.EMFILE: f"too many open files; {_FILES}",
}


def processes_for(asked: int | None) -> int:
    """How many processes load: as many as asked for; else one a core, and at most eight.

    Raises: UserError for more than the machine could start.
    """
    cores = os.cpu_count() or 1
    if asked is not None and asked > MOST_PER_CORE * cores:
        most = MOST_PER_CORE * cores
        raise UserError(f"data.workers {asked}: too many for a machine of {cores} cores; give at most {most}")
    return min(8, cores) if asked is None else asked


class LoaderStopped(UserError, RuntimeError):
    """The processes that load cannot go on, through no fault of the files that they read."""


def _reason(error: Exception) -> str | None:
    """What ended a loader's process and the way out; None for an error of another kind."""
    text = str(error)
    if killed := re.search(r"DataLoader worker .* is killed by signal: ([^.]+)", text):
        return _killed(killed[1])
    if re.search(r"DataLoader worker .* exited unexpectedly|process pool was terminated abruptly", text):
        return _killed("Killed")
    if "items of ancdata" in text or "Too many open files" in text:
        return _MISSING[errno.EMFILE]
    if "Caught MemoryError in DataLoader worker" in text:
        return _MISSING[errno.ENOMEM]
    return _MISSING.get(error.errno) if isinstance(error, OSError) and error.filename is None else None


def _killed(name: str) -> str:
    if name == "Bus error":
        return f"a process was ended for want of shared memory ({SHARED}); {_SHM}"
    if name == "Killed":
        return f"a process was killed, most likely by the system for want of memory; {_FEWER}"
    return f"a process ended by signal ({name}); --data.workers 0 shows where"


@contextmanager
def told() -> Iterator[None]:
    """Inside the block the death of a loader's process, or of one of a pool, is told in one line.

    Raises: LoaderStopped.
    """
    try:
        yield
    except LoaderStopped:
        raise
    except (RuntimeError, OSError, MemoryError) as error:
        # What torch's handler raised while torch waited for a batch; torch itself only knows "exited".
        if isinstance(error.__cause__, LoaderStopped):
            raise error.__cause__ from None
        if reason := _reason(error):
            raise LoaderStopped(f"loading: {reason}") from error
        raise


@dataclass(frozen=True)
class Parcel:
    """A batch as it leaves a loader's process: pickled, its tensors in shared memory or within."""

    content: bytes
    shared: bool

    def open(self) -> object:
        """The batch."""
        if not self.shared:
            _say_once()
        return pickle.loads(self.content)

    def pin_memory(self) -> object:
        """As torch asks for in its thread that pins: the batch itself, pinned."""
        return self.open().pin_memory()


@cache
def _say_once() -> None:
    say(
        f"note: {SHARED} is too small for the batches; they come through pipes, more slowly "
        "(docker run --shm-size 2g gives it more)"
    )


def _bytes(value: object) -> int:
    """The bytes of all tensors within a batch."""
    if isinstance(value, Tensor):
        return value.untyped_storage().nbytes()
    if is_dataclass(value):
        return sum(_bytes(getattr(value, field.name)) for field in fields(value))
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_bytes, parts))


def shared_room() -> float:
    """Free bytes of shared memory; without bound where the system does not keep it as files."""
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return float("inf")
    return found.f_bavail * found.f_frsize


def pack(batch: object, processes: int) -> Parcel:
    """A batch, in shared memory where that has room for one of each process and one more."""
    if shared_room() >= (processes + 1) * _bytes(batch):
        try:
            return Parcel(bytes(ForkingPickler.dumps(batch)), shared=True)
        except RuntimeError:  # another process was faster
            pass
    return Parcel(pickle.dumps(batch), shared=False)


@dataclass(frozen=True)
class _Packing:
    """Collates; in a loader's process it packs what it collated."""

    collate: Callable

    def __call__(self, samples: object) -> object:
        batch, worker = self.collate(samples), get_worker_info()
        return batch if worker is None else pack(batch, worker.num_workers)


def _same(samples: object) -> object:
    return samples


def _start(worker: int) -> None:
    # Fused batches bring many tensors; one file descriptor each soon exceeds the usual limit of 1024.
    torch.multiprocessing.set_sharing_strategy("file_system")


class Loader:
    """Batches of a data set, loaded ahead by `workers` processes; further arguments are those of DataLoader.

    Raises, when it is iterated: LoaderStopped, where a process dies or cannot start.
    """

    def __init__(self, dataset: Dataset, workers: int, collate: Callable = _same, **further: object) -> None:
        self._loader = DataLoader(
            dataset, num_workers=workers, collate_fn=_Packing(collate), worker_init_fn=_start, **further
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator:
        with told():
            batches = iter(self._loader)
        if self._loader.num_workers:
            _tell_deaths()
        while True:
            with told():
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                batch = batch.open() if isinstance(batch, Parcel) else batch
            yield batch


def _tell_deaths() -> None:
    """Let torch's handler, which raises wherever the main thread is when a process dies, say it in a line."""
    theirs = signal.getsignal(signal.SIGCHLD)
    if threading.current_thread() is not threading.main_thread() or getattr(theirs, "tells", False):
        return

    def handler(signum: int, frame: FrameType | None) -> None:
        with told():
            theirs(signum, frame)

    if callable(theirs):
        handler.tells = True
        signal.signal(signal.SIGCHLD, handler)
