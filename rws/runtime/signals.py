"""SIGINT and SIGTERM: a training ends its step and stores itself before the process ends.

Between trainings a signal ends the process at once: what was being computed is computed again.
"""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Interrupted(KeyboardInterrupt):
    """A signal has ended the work; the process should exit with `code`."""

    def __init__(self, signum: int):
        super().__init__(signal.Signals(signum).name)
        self.signum = signum

    @property
    def code(self) -> int:
        """130 for SIGINT, 143 for SIGTERM, as shells have it."""
        return 128 + self.signum


class _State:
    """Signals come to the process, so there is one of these."""

    pending: int | None = None
    deferred = False
    orphan = False


def _receive(signum: int, frame: FrameType | None) -> None:
    if not _State.deferred or _State.pending is not None:  # a second signal does not wait
        raise Interrupted(signum)
    _State.pending = signum


@contextmanager
def handled() -> Iterator[None]:
    """Signals raise Interrupted inside the block, or wait where they are deferred; afterwards as before.

    Only the main thread is given signals: in any other they do what they did.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {signum: signal.signal(signum, _receive) for signum in SIGNALS}
    _State.pending, _State.deferred = None, False
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def end_with_parent() -> None:
    """End as on SIGTERM when the process that started this one is gone, by SIGKILL too; on Linux alone."""
    if sys.platform.startswith("linux"):
        # Linux sends it for several threads of the parent: SIGTERM itself would seem to be a second one.
        signal.signal(signal.SIGUSR2, _orphaned)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGUSR2))


def _orphaned(signum: int, frame: FrameType | None) -> None:
    if not _State.orphan and _State.pending is None:
        _State.orphan = True
        _receive(signal.SIGTERM, frame)


@contextmanager
def at_once() -> Iterator[None]:
    """Signals do not wait in this part of a deferred block, nor does one that has come before."""
    outer, _State.deferred = _State.deferred, False
    try:
        if _State.pending is not None:
            raise Interrupted(_State.pending)
        yield
    finally:
        _State.deferred = outer


@contextmanager
def deferred() -> Iterator[Callable[[], int | None]]:
    """Signals wait inside the block; the value says which one has come, if any.

    A block that ends without having looked raises Interrupted. Without `handled` nothing is deferred.
    """
    outer, _State.deferred = _State.deferred, True
    try:
        yield lambda: _State.pending
        if _State.pending is not None and not outer:
            raise Interrupted(_State.pending)
    finally:
        _State.deferred = outer
        if not outer:
            _State.pending = None
