"""The map of coordinates that goes through an augmentation with its image.

It is a tv_tensor of its own, so any geometric transform of torchvision.transforms.v2 - also one that is not
used here - moves it exactly as it moves the image, and colour transforms leave it alone.
"""

import inspect
from collections.abc import Callable

from torch import Tensor
from torchvision import tv_tensors
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
