"""Step 2, find: window geometry and the weak-slice test.

Boxes are `(y, x, h, w)` in pixels of the image they cut, integer, top left corner first.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _side(length: int, size: float) -> int:
    """Length of a window's side. Rounded up: windows at steps of their own size must still touch."""
    return max(1, math.ceil(length * size - 1e-9))


def _starts(length: int, size: float, step: float) -> list[int]:
    """Window starts along one axis: every `step` of the length, the last window flush with the edge."""
    last = length - _side(length, size)
    # The epsilon keeps 5 steps of 0.1 beside half the length from becoming 6 by rounding.
    count = math.ceil((1 - size) / step - 1e-9)
    return sorted({min(int(k * step * length + 1e-9), last) for k in range(count)} | {last})


def window_boxes(height: int, width: int, *, size: float = 0.5, step: float = 0.1) -> Tensor:
    """Windows of `size` of each side at steps of `step` of each side that cover the whole image.

    Shape: (K, 4) int64, rows (y, x, h, w); K = 36 for the defaults.
    Raises: ValueError for a size outside (0, 1] or a step outside (0, size].
    Source: METHOD step 2; unlike the released script the last rows and columns are covered.
    """
    if not 0 < size <= 1 or not 0 < step <= size:
        raise ValueError(f"size {size} must lie in (0, 1] and step {step} in (0, size]")
    h, w = _side(height, size), _side(width, size)
    boxes = [(y, x, h, w) for y in _starts(height, size, step) for x in _starts(width, size, step)]
    return torch.tensor(boxes, dtype=torch.int64)


def crop(image: Tensor, box_yxhw: Tensor) -> Tensor:
    """The part of `image` inside a box, as a view.

    Shape: (..., H, W) -> (..., h, w).
    """
    y, x, h, w = (int(v) for v in box_yxhw)
    return image[..., y : y + h, x : x + w]


def box_sums(mask: Tensor, boxes_yxhw: Tensor) -> Tensor:
    """Sum of a mask inside each box, by a summed-area table.

    Shape: (H, W), (K, 4) -> (K,) int64.
    """
    table = F.pad(mask.to(torch.int64).cumsum(0).cumsum(1), (1, 0, 1, 0))
    y, x, h, w = boxes_yxhw.to(mask.device).unbind(1)
    return table[y + h, x + w] - table[y, x + w] - table[y + h, x] + table[y, x]


def slice_iou(attended: Tensor, foreground: Tensor, boxes_yxhw: Tensor) -> Tensor:
    """IoU of attended and foreground pixels inside each box; 0 where neither occurs.

    Shape: (H, W) bool, (H, W) bool, (K, 4) -> (K,) float64.
    Source: METHOD step 2.
    """
    both = box_sums(attended & foreground, boxes_yxhw)
    either = box_sums(attended | foreground, boxes_yxhw)
    return both.double() / either.clamp_min(1)


def parts_of(count: int, most: int) -> list[slice]:
    """Parts of at most `most` of `count` things, in their order: each fits a batch."""
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]


def weak_slices(iou: Tensor, iou_weak_max: float = 0.95, most: int | None = None) -> Tensor:
    """Indices of the weak slices, 0 < IoU < iou_weak_max, ascending; at most the `most` weakest of them.

    Shape: (K,) -> (M,) int64.
    """
    weak = torch.nonzero((iou > 0) & (iou < iou_weak_max)).flatten()
    if most is None or len(weak) <= most:
        return weak
    # A stable sort makes the choice among equal IoU independent of the machine.
    return weak[torch.sort(iou[weak], stable=True).indices[:most]].sort().values
