"""Joint transforms: image, label and coordinate map go through the same geometry."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as TF

from rws.data.coordinate_map import CoordinateMap
from rws.data.pipelines import Pipeline

Augment = Literal["none", "light", "strong"]


@dataclass(frozen=True)
class Geometry:
    """Sizes of the images that the network sees.

    base_size: short side in pixels of an image that is evaluated, scored or predicted.
    crop_size: (height, width) in pixels of a training crop.
    scale: range of the random factor on `base_size` in training.
    hflip: probability of a horizontal flip in training.
    augment: how much a training crop is changed, as in `train_transform`.
    albumentations: file of a pipeline that changes the images before that.
    """

    base_size: int
    crop_size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    hflip: float = 0.5
    augment: Augment = "light"
    albumentations: str | None = None


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each colour channel, for values in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def to_tensors(image: Image.Image, label: np.ndarray) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
    """An RGB image and its label as tv_tensors.

    Shape: (3, H, W) uint8 and (H, W) uint8.
    """
    return tv_tensors.Image(TF.pil_to_tensor(image)), tv_tensors.Mask(torch.from_numpy(label))


def finish(normalisation: Normalisation) -> list[v2.Transform]:
    """The last steps of each transform: 8-bit levels to [0, 1], and then to what the network expects."""
    dtypes = {tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}
    return [v2.ToDtype(dtypes, scale=True), v2.Normalize(normalisation.mean, normalisation.std)]


def train_transform(geometry: Geometry, normalisation: Normalisation, ignore_index: int) -> v2.Transform:
    """The transform of a training crop, by `geometry.augment`.

    A pipeline of albumentations, if there is one, comes first. none resizes to `base_size` and cuts a crop
    anywhere. light draws the size and flips, too. strong also rotates, and changes perspective, colours and
    sharpness. What the image does not reach has the mean colour and is ignored.

    Source: light is that of torchvision's references/segmentation, which the paper's runs use.
    """
    fill = fills(normalisation, ignore_index)
    crop = v2.RandomCrop(geometry.crop_size, pad_if_needed=True, fill=fill)
    colours = colour_changes() if geometry.augment == "strong" else []
    own = [Pipeline(geometry.albumentations, ignore_index)] if geometry.albumentations else []
    moves = [*own, *_resizing(geometry), *_warps(geometry, fill), crop]
    return v2.Compose([*moves, *colours, *finish(normalisation)])


def fills(normalisation: Normalisation, ignore_index: int) -> dict:
    """What stands where nothing came from: the mean colour, the ignored label, and "outside"."""
    return {
        tv_tensors.Image: [round(255 * m) for m in normalisation.mean],
        tv_tensors.Mask: ignore_index,
        CoordinateMap: 0.0,
    }


def _resizing(geometry: Geometry) -> list[v2.Transform]:
    if geometry.augment == "none":
        return [v2.Resize(geometry.base_size, antialias=True)]
    low, high = (max(1, round(geometry.base_size * s)) for s in geometry.scale)
    sizes = list(range(low, high + 1))
    return [v2.RandomShortestSize(sizes, antialias=True), v2.RandomHorizontalFlip(geometry.hflip)]


def _warps(geometry: Geometry, fill: dict) -> list[v2.Transform]:
    """Half of the images are rotated, by up to 15 degrees, and three in ten seen from another side."""
    if geometry.augment != "strong":
        return []
    linear = {"interpolation": InterpolationMode.BILINEAR, "fill": fill}
    rotation = v2.RandomApply([v2.RandomRotation(15, **linear)], p=0.5)
    return [rotation, v2.RandomPerspective(0.3, p=0.3, **linear)]


def colour_changes() -> list[v2.Transform]:
    """What `strong` does to colours and sharpness: nothing of it moves a pixel."""
    jitter = v2.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.05)
    blur = v2.GaussianBlur(kernel_size=7, sigma=(0.1, 1.5))
    return [v2.RandomApply([jitter], p=0.8), v2.RandomApply([blur], p=0.2)]


def eval_transform(base_size: int, normalisation: Normalisation) -> v2.Transform:
    """Short side to `base_size`; for images alone, so that a label keeps its own size."""
    return v2.Compose([v2.Resize(base_size, antialias=True), *finish(normalisation)])
