"""Labels from scores: the argmax at another size, in the memory of a few classes."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Scores at full size are made for as many classes at a time as this allows, 16 MiB, but for one at least.
VALUES_AT_ONCE = 2**22
# From so many classes on torch's softmax of each pixel's own values is the fast one.
LANES = 16


def class_probabilities(logits: Tensor) -> Tensor:
    """Softmax over the classes, in the memory format of the logits where that is as fast.

    Shape: (N, C, H, W) -> (N, C, H, W) float32.
    """
    logits = logits.float()
    if logits.shape[1] < LANES or not logits.is_contiguous(memory_format=torch.channels_last):
        return logits.softmax(1)
    return logits.movedim(1, -1).softmax(-1).movedim(-1, 1)


def resized_scores(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Scores at another size, bilinear.

    Shape: (1, C, h, w) -> (1, C, H, W) for `size` = (H, W).
    """
    if scores.shape[-2:] == size:
        return scores
    return F.interpolate(scores, size, mode="bilinear", align_corners=False)


def likeliest(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """The class with the largest score at each pixel at full size, the lower one where two are equal.

    The scores at full size are made for few classes at a time, so that they fit the memory.

    Shape: (1, C, h, w) -> (H, W) uint8 for `size` = (H, W).
    """
    at_once = max(1, VALUES_AT_ONCE // (size[0] * size[1]))
    if 8 <= scores.shape[1] <= at_once and scores.shape[-2:] != size:
        # Enlarged and compared in less time where a pixel's scores lie side by side.
        scores = scores.contiguous(memory_format=torch.channels_last)
    best, label = None, None
    for first in range(0, scores.shape[1], at_once):
        found = resized_scores(scores[:, first : first + at_once], size)[0]
        # max is up to ten times as fast as argmax here; of a single plane it would only make a copy.
        top, index = found.max(0) if len(found) > 1 else (found[0], torch.zeros_like(found[0]))
        index = index.to(torch.uint8) + first
        if best is None:
            best, label = top, index
        else:
            label = torch.where(top > best, index, label)
            best = torch.maximum(best, top)
    return label
