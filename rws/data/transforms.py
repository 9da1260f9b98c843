"""Joint transforms: image, label and coordinate map go through the same geometry.

`CoordinateMap` is a tv_tensor of its own, so any geometric transform of torchvision.transforms.v2 - also one
that is not used here - moves it exactly as it moves the image, and colour transforms leave it alone.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as TF


class CoordinateMap(tv_tensors.Mask):
    """For each pixel where it came from; planes x, y in [-1, 1] and 1 = inside the image.

    Transforms that only move pixels (crop, flip, pad) see a mask; those that resample interpolate linearly.

    Shape: (3, H, W) float32.
    """


def _linear(kernel: Callable) -> Callable:
    """The image kernel of a resampling transform, made to interpolate coordinates linearly."""
    forced = {
        "interpolation": InterpolationMode.BILINEAR,
        "fill": 0.0,
        "antialias": False,  # antialiasing would pull coordinates inwards at the border
    }
    forced = {key: forced[key] for key in inspect.signature(kernel).parameters if key in forced}

    def resample(where: CoordinateMap, *args, **kwargs) -> CoordinateMap:
        moved = kernel(where.as_subclass(Tensor), *args, **{**kwargs, **forced})
        return tv_tensors.wrap(moved, like=where)

    return resample


for _name in ("resize", "resized_crop", "affine", "rotate", "perspective", "elastic"):
    TF.register_kernel(getattr(TF, _name), CoordinateMap)(_linear(getattr(TF, f"{_name}_image")))


@TF.register_kernel(TF.pad, CoordinateMap)
def _pad(where: CoordinateMap, padding: list[int], fill: object = None, padding_mode: str = "constant"):
    """Padding is never inside the image, whatever value the transform fills masks with."""
    moved = TF.pad_mask(where.as_subclass(Tensor), padding, fill=0.0, padding_mode=padding_mode)
    return tv_tensors.wrap(moved, like=where)


Augment = Literal["none", "light", "strong"]


@dataclass(frozen=True)
class Geometry:
    """Sizes of the images that the network sees.

    base_size: short side in pixels of an image that is evaluated, scored or predicted.
    crop_size: (height, width) in pixels of a training crop.
    scale: range of the random factor on `base_size` in training.
    hflip: probability of a horizontal flip in training.
    augment: how much a training crop is changed, as in `train_transform`.
    """

    base_size: int
    crop_size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    hflip: float = 0.5
    augment: Augment = "light"


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

    none resizes to `base_size` and cuts a crop anywhere. light draws the size and flips, too. strong also
    rotates, and changes perspective, colours and sharpness. What the image does not reach has the mean colour
    and is ignored.

    Source: light is that of torchvision's references/segmentation, which the paper's runs use.
    """
    fill = fills(normalisation, ignore_index)
    crop = v2.RandomCrop(geometry.crop_size, pad_if_needed=True, fill=fill)
    colours = colour_changes() if geometry.augment == "strong" else []
    return v2.Compose([*_resizing(geometry), *_warps(geometry, fill), crop, *colours, *finish(normalisation)])


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
