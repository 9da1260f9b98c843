"""Training crops of a split: views, their augmentation and the loader that batches them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import v2

from rws.data.batches import OwnShare
from rws.data.boxes import Box
from rws.data.copy_paste import pasted
from rws.data.split import Split, sample
from rws.data.transforms import CoordinateMap, to_tensors
from rws.runtime.loading import Loader
from rws.runtime.seeding import drawn_from


@dataclass(frozen=True)
class View:
    """An image, or the part of it inside a box (y, x, h, w) in its own pixels."""

    image_id: str
    box_yxhw: Box | None = None


@dataclass(frozen=True)
class TrainBatch:
    """images (N, 3, H, W); labels (N, H, W), or (N, K) for a classification; where (N, 3, H, W) coordinate
    maps, and what `attach` gave for each image, both absent without `attach`; targets (N, 4, H, W) of
    photographs without labels, as `rws.data.targets` makes them, absent without such."""

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    where: Tensor | None = None
    attached: tuple = ()
    targets: Tensor | None = None

    def parts(self, count: int) -> list["TrainBatch"]:
        """The batch in `count` equal parts, in its order."""
        if count == 1:
            return [self]
        size = len(self.ids) // count
        return [self._part(slice(k * size, (k + 1) * size)) for k in range(count)]

    def _part(self, of: slice) -> "TrainBatch":
        where = None if self.where is None else self.where[of]
        targets = None if self.targets is None else self.targets[of]
        return TrainBatch(self.images[of], self.labels[of], self.ids[of], where, self.attached[of], targets)

    def pin_memory(self) -> "TrainBatch":
        """Called by the loader where CUDA is there, so that copies to the device run beside the step."""
        pinned = {"images": self.images.pin_memory(), "labels": self.labels.pin_memory()}
        if self.where is not None:
            pinned |= {
                "where": self.where.pin_memory(),
                "attached": tuple(a.pin_memory() for a in self.attached),
            }
        if self.targets is not None:
            pinned["targets"] = self.targets.pin_memory()
        return replace(self, **pinned)


class TrainViews(Dataset):
    """Augmented training crops of views; an index comes with the seed of its augmentation.

    `coordinates` makes an image's identity coordinate map from (height, width) and `attach` reads what
    travels with an image, in the loader's workers; both for fusion. Into the share `copy_paste` of the crops
    an object of another view is pasted.
    """

    def __init__(
        self,
        split: Split,
        views: Sequence[View],
        transform: v2.Transform,
        coordinates: Callable[[int, int], Tensor] | None = None,
        attach: Callable[[str], object] | None = None,
        copy_paste: float = 0.0,
    ):
        self.split, self.views, self.transform = split, views, transform
        self.coordinates, self.attach, self.copy_paste = coordinates, attach, copy_paste

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple:
        index, seed = index_and_seed
        view = self.views[index]
        image, label = self._read(view)
        moved = [image, label]
        if self.coordinates is not None:
            moved.append(CoordinateMap(self.coordinates(*image.shape[-2:])))
        with drawn_from(seed):
            plain = self._augmented(*moved)
            if self.copy_paste and torch.rand(()) < self.copy_paste:
                donor = self.views[int(torch.randint(len(self.views), ()))]
                plain = pasted(plain, self._augmented(*self._read(donor)), self.split.classes.foreground)
        # What belongs to a whole image does not fit a slice of it: a slice gets what belongs to no image.
        owner = view.image_id if view.box_yxhw is None else ""
        return view.image_id, plain, self.attach(owner) if self.attach else None

    def _read(self, view: View) -> tuple[Tensor, Tensor]:
        return _cut(*to_tensors(*sample(self.split, view.image_id)), view)

    def _augmented(self, *tensors: Tensor) -> list[Tensor]:
        return [each.as_subclass(Tensor) for each in self.transform(*tensors)]


def _cut(image: Tensor, label: Tensor, view: View) -> tuple[Tensor, Tensor]:
    if view.box_yxhw is None:
        return image, label
    return v2.functional.crop(image, *view.box_yxhw), v2.functional.crop(label, *view.box_yxhw)


def _collate(samples: list[tuple]) -> TrainBatch:
    ids, tensors, attached, *targets = zip(*samples)
    images, labels, *where = (torch.stack(column) for column in zip(*tensors))
    batch = TrainBatch(images, labels, ids, *([*where, attached] if where else []))
    return replace(batch, targets=torch.stack(targets[0])) if targets else batch


def train_loader(views: TrainViews, batches: Sampler, workers: int) -> Loader:
    """This process's share of the batches of one training, loaded ahead by `workers` processes."""
    pin = torch.cuda.is_available()
    return Loader(views, workers, _collate, batch_sampler=OwnShare(batches), pin_memory=pin)
