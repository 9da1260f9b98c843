"""Batches of whole images with slices among them."""

from collections.abc import Iterator

from torch.utils.data import Sampler

from rws.data.loading import SeededBatches
from rws.seeding import derive_seed


class MixedBatches(Sampler):
    """Batches of whole images in which a share of the places goes to slices.

    The slices are the views that follow those of `batches`; they have permutations of their own, so that the
    whole images that stay are those of the batches without slices.
    """

    def __init__(self, batches: SeededBatches, slices: int, share: float):
        self.batches, self.slices, self.share = batches, slices, share

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        whole, size = self.batches, self.batches.batch_size
        seed = derive_seed(whole.seed, "slices")
        mixed = SeededBatches(self.slices, 1, self._before(whole.steps), seed, self._before(whole.first))
        stream = ((whole.views + index, seed) for ((index, seed),) in mixed)
        for step, batch in enumerate(whole, whole.first):
            count = self._before(step + 1) - self._before(step)
            yield [*batch[: size - count], *(next(stream) for _ in range(count))]

    def _before(self, step: int) -> int:
        """Slices in the batches before a step."""
        return portion(self.batches.batch_size, self.share, step)


def portion(of: int, share: float, steps: int) -> int:
    """How many of `of` things a step are taken in `steps` steps, so that rounding never adds up."""
    return int(of * share * steps + 0.5)
