"""Labels from scores: the argmax at another size, in the memory of a few classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Logits at full size are made for as many classes at a time as this allows, 16 MiB, but for one at least.
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
    at_once = max(1, VALUES_AT_ONCE // (size[0] * size[1]))
    best = scores.new_full(size, -torch.inf)
    label = torch.zeros(size, dtype=torch.uint8, device=scores.device)
    for first in range(0, scores.shape[1], at_once):
        planes = resized_scores(scores[:, first : first + at_once], size)[0]
        # max is up to ten times as fast as argmax here; of a single plane it would only make a copy.
        top, index = planes.max(0) if len(planes) > 1 else (planes[0], 0)
        label = torch.where(top > best, first + index, label).to(torch.uint8)
        best = torch.maximum(best, top)
    return label
