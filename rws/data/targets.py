"""Targets of photographs without labels: the two likeliest classes of each pixel, and how likely they are.

Two of however many classes hold nearly all that a trained network believes, so a target is four planes of
8 bits: class, probability in 255ths, and both of the second class. They are kept as the bytes of a PNG.
"""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors
from torchvision.transforms import v2

from rws.data.split import Split
from rws.data.transforms import to_tensors
from rws.data.views import TrainViews
from rws.runtime.seeding import drawn_from

PLANES = 4


def planes_of(probabilities: Tensor) -> Tensor:
    """The target that the probabilities of at least two classes are.

    Shape: (C, H, W) -> (4, H, W) uint8.
    """
    likely, classes = probabilities.topk(2, dim=0)
    levels = (likely.clamp(0, 1) * 255).round().to(torch.uint8)
    classes = classes.to(torch.uint8)
    return torch.stack([classes[0], levels[0], classes[1], levels[1]])


def encoded(planes: Tensor) -> Tensor:
    """Planes as the bytes of a PNG; shape (4, H, W) uint8 -> (n,) uint8."""
    return torch.from_numpy(cv2.imencode(".png", planes.permute(1, 2, 0).contiguous().cpu().numpy())[1])


def decoded(png: Tensor) -> Tensor:
    """What `encoded` was given; shape (n,) uint8 -> (4, H, W) uint8."""
    return torch.from_numpy(cv2.imdecode(png.numpy(), cv2.IMREAD_UNCHANGED)).permute(2, 0, 1)


class TaughtViews(Dataset):
    """Labelled views, and after them photographs without labels, each with the target of a teacher.

    A sample brings a label and a target; one of the two is ignored everywhere.
    """

    def __init__(
        self,
        labelled: TrainViews,
        photographs: Split,
        targets: dict[str, Tensor],
        transform: v2.Transform,
    ):
        self.labelled, self.photographs, self.transform = labelled, photographs, transform
        self.targets, self.ignored = targets, photographs.classes.ignore_index

    def __len__(self) -> int:
        return len(self.labelled) + len(self.photographs)

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple:
        index, seed = index_and_seed
        if index < len(self.labelled):
            image_id, (image, label), _ = self.labelled[index, seed]
            return image_id, [image, label], None, self._ignored(PLANES, *label.shape)
        image_id = self.photographs.ids[index - len(self.labelled)]
        image, target = self._read(image_id)
        with drawn_from(seed):
            image, target = (each.as_subclass(Tensor) for each in self.transform(image, target))
        return image_id, [image, self._ignored(*target.shape[-2:])], None, target

    def _read(self, image_id: str) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        """A photograph and its target at the photograph's size."""
        target = np.ascontiguousarray(decoded(self.targets[image_id]).permute(1, 2, 0).numpy())
        photograph = self.photographs.image(image_id)
        target = cv2.resize(target, photograph.size, interpolation=cv2.INTER_NEAREST_EXACT)
        image, planes = to_tensors(photograph, target)
        return image, tv_tensors.Mask(planes.permute(2, 0, 1))

    def _ignored(self, *shape: int) -> Tensor:
        return torch.full(shape, self.ignored, dtype=torch.int64)
