"""Images with their slices, cut and enlarged."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from rws.data.boxes import Box
from rws.data.split import Split
from rws.data.transforms import to_tensors
from rws.runtime.distributed import own
from rws.runtime.loading import Loader


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


def sliced_loader(images: SlicedImages, workers: int) -> Loader:
    """One `SlicedImage` at a time."""
    return Loader(images, workers, batch_size=None)
