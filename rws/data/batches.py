"""Which views a step of training takes: samplers that depend on nothing but their arguments."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from rws.runtime.distributed import own
from rws.runtime.seeding import derive_seed


class SeededBatches(Sampler):
    """Batches of (index, seed) pairs for a training of `steps` steps, from `first` on.

    Every epoch is a new permutation; where the views do not fill a batch they are repeated, so there is
    never a small last batch (batch normalisation fails on a batch of one). Depends on nothing but its
    arguments, so a resumed training sees the same batches whatever its workers did before.
    """

    def __init__(self, views: int, batch_size: int, steps: int, seed: int, first: int = 0):
        self.views, self.batch_size, self.steps, self.seed, self.first = views, batch_size, steps, seed, first

    def __len__(self) -> int:
        return self.steps - self.first

    @property
    def steps_per_epoch(self) -> int:
        return steps_per_epoch(self.views, self.batch_size)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        epoch, order = -1, []
        for step in range(self.first, self.steps):
            if step // self.steps_per_epoch != epoch:
                epoch = step // self.steps_per_epoch
                order = self._order(epoch)
            start = step % self.steps_per_epoch * self.batch_size
            places = range(start, start + self.batch_size)
            yield [(order[i % self.views], derive_seed(self.seed, epoch, i)) for i in places]

    def _order(self, epoch: int) -> list[int]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        return torch.randperm(self.views, generator=generator).tolist()


def steps_per_epoch(views: int, batch_size: int) -> int:
    """Full batches in an epoch; at least one, however few the views."""
    return max(1, views // batch_size)


class OwnShare(Sampler):
    """Of every batch the part that this process trains on."""

    def __init__(self, batches: Sampler):
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return map(own, self.batches)


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
        stream = ((whole.views + index, seed) for index, seed in self._stream())
        for step, batch in enumerate(whole, whole.first):
            count = self._before(step + 1) - self._before(step)
            yield [*batch[: size - count], *(next(stream) for _ in range(count))]

    def _stream(self) -> Iterator[tuple[int, int]]:
        """Slices and the seeds of their augmentation, from the first step's on."""
        whole = self.batches
        seed = derive_seed(whole.seed, "slices")
        first, last = self._before(whole.first), self._before(whole.steps)
        yield from (each for (each,) in SeededBatches(self.slices, 1, last, seed, first))

    def _before(self, step: int) -> int:
        """Slices in the batches before a step."""
        return portion(self.batches.batch_size, self.share, step)


def portion(of: int, share: float, steps: int) -> int:
    """How many of `of` things a step are taken in `steps` steps, so that rounding never adds up."""
    return int(of * share * steps + 0.5)
