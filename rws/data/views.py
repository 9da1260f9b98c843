"""Views of a split and the loaders that batch them: training crops, evaluation images, slices of an image."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from rws.data.boxes import Box, as_target
from rws.data.split import Split
from rws.data.transforms import CoordinateMap, to_tensors
from rws.runtime.distributed import own
from rws.runtime.seeding import derive_seed


@dataclass(frozen=True)
class View:
    """An image, or the part of it inside a box (y, x, h, w) in its own pixels.

    aimed: the crops of the whole image that are laid over the box, instead of the part alone.
    """

    image_id: str
    box_yxhw: Box | None = None
    aimed: bool = False

    @property
    def is_part(self) -> bool:
        """Whether the rest of the image is not there."""
        return self.box_yxhw is not None and not self.aimed


@dataclass(frozen=True)
class TrainBatch:
    """images (N, 3, H, W); labels (N, H, W); where (N, 3, H, W) coordinate maps, and what `attach` gave for
    each image, both absent without `attach`."""

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]
    where: Tensor | None = None
    attached: tuple = ()

    def pin_memory(self) -> "TrainBatch":
        """Called by the loader where CUDA is there, so that copies to the device run beside the step."""
        pinned = {"images": self.images.pin_memory(), "labels": self.labels.pin_memory()}
        if self.where is not None:
            pinned |= {
                "where": self.where.pin_memory(),
                "attached": tuple(a.pin_memory() for a in self.attached),
            }
        return replace(self, **pinned)


class TrainViews(Dataset):
    """Augmented training crops of views; an index comes with the seed of its augmentation.

    `coordinates` makes an image's identity coordinate map from (height, width) and `attach` reads what
    travels with an image, in the loader's workers; both for fusion. `aim` gives, for an image and a seed, the
    box that the crop is laid over, or None.
    """

    def __init__(
        self,
        split: Split,
        views: Sequence[View],
        transform: v2.Transform,
        coordinates: Callable[[int, int], Tensor] | None = None,
        attach: Callable[[str], object] | None = None,
        aim: Callable[[str, int], Box | None] | None = None,
    ):
        self.split, self.views, self.transform = split, views, transform
        self.coordinates, self.attach, self.aim = coordinates, attach, aim

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple:
        index, seed = index_and_seed
        view = self.views[index]
        image, label = _cut(
            *to_tensors(self.split.image(view.image_id), self.split.label(view.image_id)), view
        )
        moved = [image, label]
        if self.coordinates is not None:
            moved.append(CoordinateMap(self.coordinates(*image.shape[-2:])))
        box = view.box_yxhw if view.aimed else None
        if self.aim and view.box_yxhw is None:
            box = self.aim(view.image_id, seed)
        target = [] if box is None else [as_target(box, image)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            tensors = self.transform(*moved, *target)[: len(moved)]
        plain = [t.as_subclass(Tensor) for t in tensors]
        # What belongs to a whole image does not fit a slice of it: a slice gets what belongs to no image.
        owner = "" if view.is_part else view.image_id
        return view.image_id, plain, self.attach(owner) if self.attach else None


def _cut(image: Tensor, label: Tensor, view: View) -> tuple[Tensor, Tensor]:
    if not view.is_part:
        return image, label
    return v2.functional.crop(image, *view.box_yxhw), v2.functional.crop(label, *view.box_yxhw)


def _collate(samples: list[tuple]) -> TrainBatch:
    ids, tensors, attached = zip(*samples)
    images, labels, *where = (torch.stack(column) for column in zip(*tensors))
    return TrainBatch(images, labels, ids, *([*where, attached] if where else []))


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


def train_loader(views: TrainViews, batches: Sampler, workers: int) -> DataLoader:
    """This process's share of the batches of one training, loaded ahead by `workers` processes."""
    return DataLoader(
        views,
        batch_sampler=OwnShare(batches),
        num_workers=workers,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
    )


@dataclass(frozen=True)
class EvalBatch:
    """images (N, 3, h, w) at evaluation size; labels (N, H, W) at their own size."""

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]

    def pin_memory(self) -> "EvalBatch":
        """As for TrainBatch."""
        return replace(self, images=self.images.pin_memory(), labels=self.labels.pin_memory())


class EvalImages(Dataset):
    """Whole images at evaluation size with labels at their own size."""

    def __init__(self, split: Split, transform: v2.Transform):
        self.split, self.transform = split, transform

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, str]:
        image_id = self.split.ids[index]
        image, label = to_tensors(self.split.image(image_id), self.split.label(image_id))
        return self.transform(image).as_subclass(Tensor), label.as_subclass(Tensor).long(), image_id


def _collate_eval(samples: list[tuple]) -> EvalBatch:
    images, labels, ids = zip(*samples)
    return EvalBatch(torch.stack(images), torch.stack(labels), ids)


def same_size_batches(sizes: Sequence[tuple[int, int]], batch_size: int) -> list[list[int]]:
    """Indices in batches of equal image size, so that nothing has to be padded or distorted."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, size in enumerate(sizes):
        groups.setdefault(size, []).append(index)
    return [g[i : i + batch_size] for g in groups.values() for i in range(0, len(g), batch_size)]


def eval_loader(split: Split, transform: v2.Transform, batch_size: int, workers: int) -> DataLoader:
    """Every image of the split exactly once, in batches of one image size; shared out among the processes."""
    sizes = [split.size(image_id) for image_id in split.ids]
    return DataLoader(
        EvalImages(split, transform),
        batch_sampler=own(same_size_batches(sizes, batch_size)),
        num_workers=workers,
        collate_fn=_collate_eval,
        pin_memory=torch.cuda.is_available(),
    )


@dataclass(frozen=True)
class SlicedImage:
    """A whole image and its slices, all enlarged to the evaluation size of the image.

    image (3, h, w); label (H, W); boxes (K, 4); slices (K, 3, h, w).
    """

    image_id: str
    image: Tensor
    label: Tensor
    boxes_yxhw: Tensor
    slices: Tensor

    def slice_labels(self, part: slice = slice(None)) -> Tensor:
        """The labels of those slices, which must be of one size, in pixels of the image's label.

        Shape: (K, box h, box w).
        """
        return torch.stack(
            [self.label[y : y + h, x : x + w] for y, x, h, w in self.boxes_yxhw[part].tolist()]
        )


class SlicedImages(Dataset):
    """Images that have weak slices, each with its slices cut and enlarged; shared out among the processes."""

    def __init__(self, split: Split, boxes: dict[str, list[Box]], transform: v2.Transform):
        self.split, self.boxes, self.transform = split, boxes, transform
        self.ids = own([image_id for image_id in split.ids if boxes.get(image_id)])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> SlicedImage:
        return self.cut(self.ids[index], self.boxes[self.ids[index]])

    def cut(self, image_id: str, boxes: Sequence[Box]) -> SlicedImage:
        """An image with the slices of some boxes."""
        image, label = to_tensors(self.split.image(image_id), self.split.label(image_id))
        whole = self.transform(image).as_subclass(Tensor)
        parts = [v2.functional.crop(image, *box) for box in boxes]
        slices = torch.stack([self._enlarge(part, whole.shape[-2:]) for part in parts])
        return SlicedImage(image_id, whole, label.as_subclass(Tensor).long(), torch.tensor(boxes), slices)

    def _enlarge(self, part: Tensor, size: torch.Size) -> Tensor:
        part = self.transform(v2.functional.resize(part, list(size), antialias=True))
        return part.as_subclass(Tensor)


def sliced_loader(images: SlicedImages, workers: int) -> DataLoader:
    """One `SlicedImage` at a time."""
    return DataLoader(images, batch_size=None, num_workers=workers)
