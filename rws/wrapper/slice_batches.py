"""The weak slices in the images of any loader, as batches of its own form."""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rws.core.slices import crop
from rws.data.boxes import Box
from rws.errors import UserError

# What a loader yields: images (N, 3, h, w), labels (N, H, W) and the ids of the images, without augmentation.
Batch = tuple[Tensor, Tensor, Sequence]
Loader = Iterable[Batch]
HELD = 64  # slices that are shuffled among each other


def named(ids: Sequence) -> list[str]:
    """Ids as strings: loaders collate numbers into a tensor."""
    return [str(i) for i in (ids.tolist() if isinstance(ids, Tensor) else ids)]


def enlarged(image: Tensor, size: tuple[int, int], box: Box) -> Tensor:
    """The part of an image inside a box in pixels of its label, at the image's own size.

    Shape: (3, h, w) -> (3, h, w), box (y, x, h, w) in pixels of `size` = (H, W).
    """
    scale = [side / full for side, full in zip(image.shape[-2:], size)]
    top, left = (round(v * s) for v, s in zip(box[:2], scale))
    height, width = (max(1, round(v * s)) for v, s in zip(box[2:], scale))
    part = image[:, top : top + height, left : left + width]
    return F.interpolate(part[None], image.shape[-2:], mode="bilinear", align_corners=False)[0]


@dataclass
class WeakSlices:
    """Batches of weak slices out of the batches of a loader, shuffled among the HELD nearest ones.

    Where the slices do not fill the last batch, the first ones are repeated: batch normalisation needs more
    than one image.
    """

    loader: Loader
    boxes: dict[str, list[Box]]
    batch_size: int
    seed: int
    epoch: int = 0

    def __len__(self) -> int:
        return math.ceil(sum(map(len, self.boxes.values())) / self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        self.epoch += 1
        shuffle = random.Random(f"{self.seed} {self.epoch}")
        batch: list[tuple[Tensor, Tensor]] = []
        first: list[tuple[Tensor, Tensor]] = []
        for each in shuffled(self._each(), shuffle, HELD):
            batch.append(each)
            if len(first) < self.batch_size:
                first.append(each)
            if len(batch) == self.batch_size:
                yield _collate(batch)
                batch = []
        if batch:
            while len(batch) < self.batch_size:
                batch += first[: self.batch_size - len(batch)]
            yield _collate(batch)

    def _each(self) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels, ids in self.loader:
            for image_id, image, label in zip(named(ids), images, labels):
                for box in self.boxes.get(image_id, ()):
                    part = crop(label, torch.tensor(box))[None, None].float()
                    part = F.interpolate(part, image.shape[-2:], mode="nearest")[0, 0]
                    yield enlarged(image, tuple(label.shape), box), part.long()


def shuffled(items: Iterable, shuffle: random.Random, held: int) -> Iterator:
    """The items in random order, with no more than `held` of them in memory."""
    pool: list = []
    for item in items:
        pool.append(item)
        if len(pool) > held:
            yield pool.pop(shuffle.randrange(len(pool)))
    shuffle.shuffle(pool)
    yield from pool


def _collate(batch: list[tuple[Tensor, Tensor]]) -> Batch:
    images, labels = zip(*batch)
    if len(sizes := {tuple(image.shape[-2:]) for image in images}) > 1:
        raise UserError(
            f"RWS: slices of {sorted(sizes)} pixels do not fit one batch; load images of one size"
        )
    return torch.stack(images), torch.stack(labels), [""] * len(batch)
