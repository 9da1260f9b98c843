"""Batches of whole images with slices among them."""

import random
from collections.abc import Iterator, Sequence
from itertools import accumulate

from torch.utils.data import Sampler

from rws.data.views import SeededBatches
from rws.runtime.seeding import derive_seed


class MixedBatches(Sampler):
    """Batches of whole images in which a share of the places goes to slices.

    The slices are the views that follow those of `batches`; they have permutations of their own, so that the
    whole images that stay are those of the batches without slices. With `weights`, one for each slice, they
    are drawn one by one instead, each as likely as its weight says.
    """

    def __init__(
        self, batches: SeededBatches, slices: int, share: float, weights: Sequence[float] | None = None
    ):
        self.batches, self.slices, self.share, self.weights = batches, slices, share, weights

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        whole, size = self.batches, self.batches.batch_size
        stream = ((whole.views + index, seed) for index, seed in self._stream())
        for step, batch in enumerate(whole, whole.first):
            count = self._before(step + 1) - self._before(step)
            yield [*batch[: size - count], *(next(stream) for _ in range(count))]

    def _stream(self) -> Iterator[tuple[int, int]]:
        """Slices and the seeds of their augmentation, from the first step's on."""
        whole = self.batches
        seed = derive_seed(whole.seed, "slices")
        first, last = self._before(whole.first), self._before(whole.steps)
        if self.weights is None:
            yield from (each for (each,) in SeededBatches(self.slices, 1, last, seed, first))
            return
        summed = list(accumulate(self.weights))
        for number in range(first, last):
            own = derive_seed(seed, number)
            yield random.Random(own).choices(range(self.slices), cum_weights=summed)[0], own

    def _before(self, step: int) -> int:
        """Slices in the batches before a step."""
        return portion(self.batches.batch_size, self.share, step)


def portion(of: int, share: float, steps: int) -> int:
    """How many of `of` things a step are taken in `steps` steps, so that rounding never adds up."""
    return int(of * share * steps + 0.5)
