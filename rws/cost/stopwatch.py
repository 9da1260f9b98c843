"""Seconds of the parts of a program: functions that count as a part, of which others may be parts in turn."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps

REST = "rest"

# The name of a part, or what makes it of the arguments with which the function is called.
Name = str | Callable[..., str]


class Stopwatch:
    """Gives every second to the innermost part that runs, within the outermost one; to REST outside of all.

    seconds: by (outermost part, innermost part).
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: Counter[tuple[str, str]] = Counter()
        self._clock, self._stack, self._since = clock, [], 0.0

    @contextmanager
    def running(self, *parts: tuple[object, str, Name]) -> Iterator[None]:
        """Count while the block runs; each part is a class or module, a function there, and its name."""
        self._since = self._clock()
        with ExitStack() as restored:
            for owner, name, part in parts:
                self._replace(owner, name, part, restored)
            yield
            self._turn()

    def _replace(self, owner: object, name: str, part: Name, restored: ExitStack) -> None:
        function, own = getattr(owner, name), name in vars(owner)
        setattr(owner, name, self._counted(part, function))
        restored.callback(*((setattr, owner, name, function) if own else (delattr, owner, name)))

    def _counted(self, part: Name, function: Callable) -> Callable:
        @wraps(function)
        def counted(*args: object, **kwargs: object) -> object:
            self._turn()
            self._stack.append(part if isinstance(part, str) else part(*args, **kwargs))
            try:
                return function(*args, **kwargs)
            finally:
                self._turn()
                self._stack.pop()

        return counted

    def _turn(self) -> None:
        """Give the seconds since the last turn to what has been running."""
        now = self._clock()
        outer, inner = (self._stack[0], self._stack[-1]) if self._stack else (REST, REST)
        self.seconds[outer, inner] += now - self._since
        self._since = now
