"""Joint transforms: image, label and coordinate map go through the same geometry.

`CoordinateMap` is a tv_tensor of its own, so any geometric transform of torchvision.transforms.v2 - also one
that is not used here - moves it exactly as it moves the image, and colour transforms leave it alone.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Geometry:
    """Sizes of the images that the network sees.

    base_size: short side in pixels of an image that is evaluated, scored or predicted.
    crop_size: (height, width) in pixels of a training crop.
    scale: range of the random factor on `base_size` in training.
    hflip: probability of a horizontal flip in training.
    """

    base_size: int
    crop_size: tuple[int, int]
    scale: tuple[float, float] = (0.5, 2.0)
    hflip: float = 0.5


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
    """Random scale, flip and crop, padded where the image is too small.

    Source: the presets of torchvision's references/segmentation, which the paper's runs use.
    """
    low, high = (max(1, round(geometry.base_size * s)) for s in geometry.scale)
    fill = {
        tv_tensors.Image: [round(255 * m) for m in normalisation.mean],
        tv_tensors.Mask: ignore_index,
        CoordinateMap: 0.0,
    }
    return v2.Compose(
        [
            v2.RandomShortestSize(list(range(low, high + 1)), antialias=True),
            v2.RandomHorizontalFlip(geometry.hflip),
            v2.RandomCrop(geometry.crop_size, pad_if_needed=True, fill=fill),
            *finish(normalisation),
        ]
    )


def eval_transform(base_size: int, normalisation: Normalisation) -> v2.Transform:
    """Short side to `base_size`; for images alone, so that a label keeps its own size."""
    return v2.Compose([v2.Resize(base_size, antialias=True), *finish(normalisation)])
