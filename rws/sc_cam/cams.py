"""Class activation maps at several scales, and the label maps made of them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rws.models.sc_cam import SubCategoryNetwork, unit_maximum
from rws.runtime.device import to_network

SCALES = (0.5, 1.0, 1.5, 2.0)


@torch.inference_mode()
def multi_scale_maps(
    network: SubCategoryNetwork, images: Tensor, size: tuple[int, int], scales: Sequence[float] = SCALES
) -> Tensor:
    """Class activation maps, each the sum over scales and mirror images, scaled to a maximum of 1.

    Shape: (N, 3, h, w) -> (N, F, H, W) for `size` = (H, W), in eval mode.
    Source: Chang et al., section 4.1; scales and mirroring as in Ahn and Kwak, CVPR 2018.
    """
    total = 0
    for scale in scales:
        scaled = F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
        for mirrored in (False, True):
            seen = to_network(scaled.flip(-1) if mirrored else scaled, network)
            maps = network.activation(network.features(seen))
            maps = maps.flip(-1) if mirrored else maps
            total = total + F.interpolate(maps.float(), size, mode="bilinear", align_corners=False)
    return unit_maximum(total)


def label_map(maps: Tensor, present: Tensor, threshold: float) -> Tensor:
    """The present class with the largest map at each pixel, 0 where none exceeds the threshold.

    Shape: (N, F, H, W), (N, F) bool -> (N, H, W) int64, classes from 1.
    """
    best, winner = (maps * present[..., None, None]).max(1)
    return torch.where(best > threshold, winner + 1, 0)
