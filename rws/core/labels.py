"""Labels from scores: the argmax at another size, in the memory of a few classes."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# Scores at full size are made for as many classes at a time as this allows, 16 MiB, but for one at least.
VALUES_AT_ONCE = 2**22


def resized_scores(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores at another size, bilinear.

    Shape: (1, C, h, w) -> (1, C, H, W) for `size` = (H, W).
    """
    if scores.shape[-2:] == size:
        return scores
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)


def likeliest(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """The argmax over the classes at full size, the lower class where two are equal.

    Shape: (1, C, h, w) -> (H, W) uint8 for `size` = (H, W).
    """
    return likeliest_of(lambda part: resized_scores(scores[:, part], size)[0], scores.shape[1], size)


def likeliest_of(planes: Callable[[slice], Tensor], classes: int, size: tuple[int, int]) -> Tensor:
    """The class with the largest score at each pixel, the lower one where two are equal.

    `planes` makes the scores of a part of the classes; of few at a time, so that they fit the memory.

    Shape: planes(slice) is (C', H, W) -> (H, W) uint8 for `size` = (H, W).
    """
    at_once = max(1, VALUES_AT_ONCE // (size[0] * size[1]))
    best, label = None, None
    for first in range(0, classes, at_once):
        found = planes(slice(first, first + at_once))
        # max is up to ten times as fast as argmax here; of a single plane it would only make a copy.
        top, index = found.max(0) if len(found) > 1 else (found[0], 0)
        if best is None:
            best = torch.full_like(top, -torch.inf)
            label = torch.zeros(size, dtype=torch.uint8, device=top.device)
        label = torch.where(top > best, first + index, label).to(torch.uint8)
        best = torch.maximum(best, top)
    return label
