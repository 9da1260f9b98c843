"""Where to look again: windows that hold what a network is unsure of, and how what they show is put in place.

No backward pass and no stages are needed: the class probabilities of any network will do.
Boxes are `(y, x, h, w)` in pixels of the image they cut, integer, top left corner first.
"""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from rws.core.slices import window_boxes

STEP = 0.125  # between windows, over the image's side
DISCOUNT = 0.15  # what is left of the uncertainty inside a window that is taken
BLUR = 1.5  # how far an image, or a window smaller than the largest, may be enlarged beyond its own pixels
HOLD = 0.4  # of what is unsure: a window smaller than the largest must hold that much of it
FADE = 0.2  # share of a window's side over which its weight rises from 0 at an edge inside the image


def uncertainty(probabilities: Tensor) -> Tensor:
    """Entropy of the class probabilities over the largest that there is: 0 is sure, 1 knows nothing.

    Shape: (C, H, W) -> (H, W).
    """
    p = probabilities.float()
    entropy = -(p * p.clamp_min(1e-12).log()).sum(0)
    return entropy / math.log(max(2, len(p)))


def candidate_windows(height: int, width: int, sides: Sequence[float]) -> Tensor:
    """The windows of an image among which is chosen, of each of some sides over the image's.

    Shape: (K, 4) int64.
    Raises: ValueError for a side outside [STEP, 1).
    """
    if bad := [side for side in sides if not STEP <= side < 1]:
        raise ValueError(f"a window of {bad[0]:g} of the sides: must be at least {STEP} and below 1")
    return torch.cat([window_boxes(height, width, size=side, step=STEP) for side in sides])


def sides_that_show_more(sides: Sequence[float], own: int, seen: int) -> list[float]:
    """The sides whose windows show detail: the largest, and those that are not enlarged to a blur.

    own: the shorter side of the image in its own pixels. seen: that of the network's input.
    """
    return [side for side in sides if side == max(sides) or side * own * BLUR >= seen]


def whole_enlarged(seen: tuple[int, int], own: tuple[int, int], passes: int) -> tuple[int, int] | None:
    """Height and width at which a whole image costs so many passes; None where that is a blur.

    seen: of the network's input. own: of the image in its own pixels.
    """
    scale = math.sqrt(passes)
    if scale * min(seen) > BLUR * min(own):
        return None
    return round(scale * seen[0]), round(scale * seen[1])


def finer_grid(size: tuple[int, int], window: tuple[int, int], most: tuple[int, int]) -> tuple[int, int]:
    """Height and width at which a window of an image of `size` is as large as that image; at most `most`."""
    height, width = (round(side * side / part) for side, part in zip(size, window))
    return (height, width) if height <= most[0] and width <= most[1] else most


def on_grid(boxes_yxhw: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Boxes of an image of `size` as they lie when it is as large as a grid; those of one size stay so.

    Shape: (K, 4) -> (K, 4) int64.
    """
    scale = torch.tensor([grid[0] / size[0], grid[1] / size[1]], dtype=torch.float64)
    sides = (boxes_yxhw[:, 2:] * scale).round().long().clamp_min(1)
    corners = (boxes_yxhw[:, :2] * scale).round().long()
    return torch.cat([torch.minimum(corners, torch.tensor(grid) - sides), sides], 1)


def choose_windows(unsure: Tensor, boxes_yxhw: Tensor, most: int) -> tuple[list[int], list[float]]:
    """Greedily the windows that are worth a pass most, and what each is worth.

    A small window is enlarged more, but of a large object it sees a part that may not tell its class. So a
    window of the smallest size is taken where one holds HOLD of what is unsure, and of the largest elsewhere.
    Of that size it is the one that holds most. What lies in a window that is taken counts for little in those
    after it. A window is worth the uncertainty that it holds, a mean over the image, times the doublings by
    which it is enlarged, and never more than the one before it. What is no finite number counts as sure.

    Shape: unsure (H, W), boxes (K, 4) -> at most `most` indices and values.
    """
    # On the CPU, for on CUDA sums differ from call to call, and MPS has no float64.
    unsure = unsure.detach().cpu().double().nan_to_num(0.0, 0.0, 0.0)
    boxes, areas = boxes_yxhw.tolist(), boxes_yxhw[:, 2:].prod(1)
    y, x, h, w = boxes_yxhw.unbind(1)
    taken: list[int] = []
    worth: list[float] = []
    for _ in range(min(most, len(boxes))):
        table = F.pad(unsure.cumsum(0).cumsum(1), (1, 0, 1, 0))
        held = table[y + h, x + w] - table[y, x + w] - table[y + h, x] + table[y, x]
        held[taken] = -1
        best = _best_of_a_size(held, areas, HOLD * float(table[-1, -1]))
        taken.append(best)
        doublings = math.log2(math.sqrt(unsure.numel() / int(areas[best])))
        worth.append(min([*worth[-1:], float(held[best]) / unsure.numel() * doublings]))
        top, left, height, width = boxes[best]
        unsure[top : top + height, left : left + width] *= DISCOUNT
    return taken, worth


def _best_of_a_size(held: Tensor, areas: Tensor, least: float) -> int:
    """The window that holds most among those of the smallest area of which one holds `least`."""
    left = areas[held > -0.5].unique().tolist()  # a size may be used up
    for area in left:
        best = int(held.where(areas == area, held.new_tensor(-1)).argmax())
        if held[best] >= least:
            break
    return best


def edge_weights(box_yxhw: tuple[int, int, int, int], size: tuple[int, int], fade: float = FADE) -> Tensor:
    """Weights of a window's pixels: 1, falling to 0 at its edges, but not where these are the image's own.

    Shape: `size` = (H, W) of the image -> (h, w) float32.
    """
    y, x, h, w = box_yxhw
    return _ramp(h, y > 0, y + h < size[0], fade)[:, None] * _ramp(w, x > 0, x + w < size[1], fade)


def _ramp(length: int, rises: bool, falls: bool, fade: float) -> Tensor:
    up = ((torch.arange(length) + 0.5) / max(fade * length, 0.5)).clamp_max(1)
    weights = torch.ones(length)
    weights = torch.minimum(weights, up) if rises else weights
    return torch.minimum(weights, up.flip(0)) if falls else weights


def classes_of_both(slices: Tensor, wholes: Tensor, background: int | None) -> Tensor:
    """Slices that say where objects are, and together with the whole image of which class.

    A part of an object may not tell what it is part of. So what a slice gives to all objects is shared out
    among their classes as slice and whole image find in sum. What it gives to the background stays. Without a
    background, or with one class beside it, slices stay as they are.

    Shape: slices (K, C, h, w); wholes, the whole image where they lie, (K, C, h, w) -> (K, C, h, w).
    """
    objects = [c for c in range(slices.shape[1]) if c != background]
    if background is None or len(objects) < 2:
        return slices
    both = slices[:, objects] + wholes[:, objects]
    given = slices[:, objects].sum(1, keepdim=True)
    found = slices.clone()
    found[:, objects] = both * (given / both.sum(1, keepdim=True).clamp_min(1e-12))
    return found


def put_in_place(
    whole: Tensor,
    slices: Iterable[Tensor],
    boxes_yxhw: Tensor,
    *,
    share: Tensor | float = 0.5,
    overwrite: bool = False,
) -> Tensor:
    """What the whole image and the slices show together: the slices' share where they lie, else the whole.

    Towards a slice's edges its share falls to 0, so that there are no seams. With `overwrite` the result
    takes the memory of the whole.

    Shape: whole (..., C, H, W); slices K times (..., C, h, w), at the size of their boxes (K, 4); share
        (H, W) or one for all -> (..., C, H, W), in the memory format of the whole.
    """
    boxes = boxes_yxhw.tolist()
    size = tuple(whole.shape[-2:])
    weights = [edge_weights(tuple(box), size).to(whole.device) for box in boxes]
    weight = whole.new_zeros(size)
    for own, (y, x, h, w) in zip(weights, boxes):
        weight[y : y + h, x : x + w] += own
    share = share * weight.clamp_max(1)
    # In place, one pass over the classes for each slice: of large images this is what takes the time.
    found = whole.mul_(1 - share) if overwrite else whole * (1 - share)
    share /= weight.clamp_min(1e-12)
    for part, own, (y, x, h, w) in zip(slices, weights, boxes):
        found[..., y : y + h, x : x + w].addcmul_(part, own * share[y : y + h, x : x + w])
    return found
