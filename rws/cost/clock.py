"""The rate of a loop over batches, without what its first batch waits for."""

import time
from collections.abc import Iterable, Iterator


class Timed:
    """Batches that pass through, and the clock as each arrives; the last time through counts.

    Shape: a batch has `ids`, or else is one image.
    """

    def __init__(self, batches: Iterable) -> None:
        self.batches = batches
        self._marks: list[tuple[float, int]] = []

    def __iter__(self) -> Iterator:
        self._marks, images = [], 0
        for batch in self.batches:
            self._marks.append((time.perf_counter(), images))
            yield batch
            images += len(getattr(batch, "ids", (None,)))
        self._marks.append((time.perf_counter(), images))

    def __len__(self) -> int:
        return len(self.batches)

    @property
    def each(self) -> float:
        """Seconds an image: after the first batch, where there are others; 0 where there was no batch."""
        if len(self._marks) < 2:
            return 0.0
        first = self._marks[min(1, len(self._marks) - 2)]
        last = self._marks[-1]
        return (last[0] - first[0]) / (last[1] - first[1])
