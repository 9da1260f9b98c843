"""Objects of one training crop pasted into another.

Source: G. Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation",
CVPR 2021; here an object is a connected part of a class.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

SMALLEST, LARGEST = 0.001, 0.25  # of the crop's pixels: neither a few pixels nor a road or a sky


def an_object(label: Tensor, classes: Sequence[int]) -> Tensor | None:
    """An object of a label, drawn at random: a class, each as likely, and one of its connected parts.

    Parts smaller than SMALLEST or larger than LARGEST are none. None where the label shows no object.

    Shape: (H, W) -> (H, W) bool.
    """
    for place in torch.randperm(len(classes)).tolist():
        parts, _ = ndimage.label(label.numpy() == classes[place])
        shares = np.bincount(parts.ravel())[1:] / label.numel()
        fitting = np.flatnonzero((shares >= SMALLEST) & (shares <= LARGEST)) + 1
        if len(fitting):
            chosen = fitting[int(torch.randint(len(fitting), ()))]
            return torch.from_numpy(parts == chosen)
    return None


def pasted(crop: Sequence[Tensor], donor: Sequence[Tensor], classes: Sequence[int]) -> list[Tensor]:
    """The crop with one object of the donor at the same place, or as it is where the donor has none.

    In the coordinate map the object comes from nowhere, so nothing of the image's own features goes there.

    Shape: crop = image (3, H, W), label (H, W) and perhaps a coordinate map (3, H, W); donor = image, label.
    """
    mask = an_object(donor[1], classes)
    if mask is None:
        return list(crop)
    others = [*donor, *(torch.zeros_like(where) for where in crop[2:])]
    return [torch.where(mask, other, own) for own, other in zip(crop, others)]
