"""Whole images for evaluation, each once, in batches of one size."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from rws.data.split import Split, sample
from rws.data.transforms import to_tensors
from rws.runtime.distributed import own
from rws.runtime.loading import Loader


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
        image, label = to_tensors(*sample(self.split, image_id))
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


def eval_loader(split: Split, transform: v2.Transform, batch_size: int, workers: int) -> Loader:
    """Every image of the split exactly once, in batches of one image size; shared out among the processes."""
    sizes = [split.size(image_id) for image_id in split.ids]
    return Loader(
        EvalImages(split, transform),
        workers,
        _collate_eval,
        batch_sampler=own(same_size_batches(sizes, batch_size)),
        pin_memory=torch.cuda.is_available(),
    )
