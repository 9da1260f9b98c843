"""What a run says while it works: lines, and bars of progress, which are lines now and then in a log."""

import re
import sys
import time
from collections.abc import Iterable
from typing import TextIO, TypeVar

from tqdm import tqdm

from rws.errors import safe

SECONDS = 30  # between two lines of a bar where there is no terminal
_MOVES = re.compile(r"\x1b\[A|[\r\n]")  # what tqdm writes to come back to a line of the terminal

Item = TypeVar("Item")


def say(*lines: object, file: TextIO | None = None) -> None:
    """Print each text as one line, by `safe`, without breaking a bar."""
    for line in lines:
        tqdm.write(safe(line), file=file or sys.stdout)
    (file or sys.stdout).flush()


def tracked(
    iterable: Iterable[Item] | None = None, desc: str | None = None, total: float | None = None, **options
) -> "tqdm[Item]":
    """A bar of tqdm on stderr, with its options; where that is no terminal, a plain line every SECONDS."""
    if not sys.stderr.isatty():
        options |= {"file": _Lines(sys.stderr), "ncols": 0, "mininterval": 1, "maxinterval": SECONDS}
    return tqdm(iterable, safe(desc) if desc else None, total, **options)


class _Lines:
    """Takes what tqdm writes to a terminal, and hands on a line of it every SECONDS."""

    def __init__(self, stream: TextIO):
        self._stream, self._last = stream, time.monotonic()

    def write(self, text: str) -> None:
        """Hand on the text as a line, if it is time for one."""
        text = _MOVES.sub("", text).strip()
        if text and time.monotonic() - self._last >= SECONDS:
            self._last = time.monotonic()
            self._stream.write(text + "\n")
            self._stream.flush()

    def flush(self) -> None:
        """Nothing is held back."""
