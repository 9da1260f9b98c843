"""METHOD steps 1 (masking), 2 and 4 as plain loops over pixels, the way the released script is written.

`iou`, `judge` and `select` are also the oracle of the tests of rws.core. They read one element at a time,
from tensors or from arrays; what is judged and where is what rws.core does, so that the results can be
compared.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Maps = np.ndarray | Tensor
Box = Sequence[int]  # (y, x, h, w) in pixels


def mask(cams: np.ndarray, label: np.ndarray, classes: list[int]) -> np.ndarray:
    """Maps (R, L, H, W) of R classes to one (L, H, W): each pixel takes the map of its own class."""
    _, stages, height, width = cams.shape
    out = np.zeros((stages, height, width), cams.dtype)
    for stage in range(stages):
        for y in range(height):
            for x in range(width):
                for r, c in enumerate(classes):
                    if label[y, x] == c:
                        out[stage, y, x] = cams[r, stage, y, x]
    return out


def iou(attended: Maps, front: Maps, box: Box) -> float:
    """IoU of two masks inside a box; 0 where neither occurs."""
    both = either = 0
    y, x, h, w = box
    for i in range(y, y + h):
        for j in range(x, x + w):
            both += bool(attended[i, j]) and bool(front[i, j])
            either += bool(attended[i, j]) or bool(front[i, j])
    return both / either if either else 0.0


def divide(part: float, whole: float) -> float:
    """part / whole, and 0 where the whole is 0."""
    return part / whole if whole > 0 else 0.0


def judge(A: Maps, a: Maps, boxes: Sequence[Box], stage: int, y: int, x: int) -> tuple[float, int, float]:
    """METHOD step 4 at one pixel: n, the index of the winning slice (-1: none) and its a_l / a_max."""
    n, winner, best = 1.0, -1, -1.0
    for k, (top, left, h, w) in enumerate(boxes):
        if not (top <= y < top + h and left <= x < left + w):
            continue
        whole = [float(A[stage_, y, x]) for stage_ in range(len(A))]
        part = [float(a[k, stage_, y - top, x - left]) for stage_ in range(len(A))]
        ratio_whole, ratio = divide(whole[stage], max(whole)), divide(part[stage], max(part))
        advantaged = part[stage] > whole[stage] and ratio > ratio_whole and max(whole) - whole[stage] != 0
        if advantaged and ratio > best:  # eq. 10, and the largest a_l / a_max wins
            n, winner, best = ratio_whole / (ratio_whole + ratio), k, ratio  # eq. 9
    return n, winner, best


def select(
    A: Maps, a: Maps, boxes: Sequence[Box], stage: int, grid: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """`judge` at the pixel under the centre of each cell of a grid: n, winner and ratio, (H_l, W_l) each."""
    height, width = A.shape[-2:]
    found = [
        judge(A, a, boxes, stage, int((i + 0.5) * height / grid[0]), int((j + 0.5) * width / grid[1]))
        for i in range(grid[0])
        for j in range(grid[1])
    ]
    n, winner, ratio = zip(*found)
    shaped = [torch.tensor(v, dtype=torch.float64).reshape(grid) for v in (n, winner, ratio)]
    return shaped[0], shaped[1].long(), shaped[2]


def feature(f: np.ndarray, box: Box, size: tuple[int, int], cell: tuple, grid: tuple) -> np.ndarray:
    """The winner's feature at a cell, bilinear in the slice's own map (C, h, w), channel by channel."""
    spots = []
    for axis in (0, 1):
        centre = (cell[axis] + 0.5) / grid[axis] * size[axis]
        cells = f.shape[1 + axis]
        spot = (centre - box[axis]) / box[2 + axis] * cells - 0.5
        spot = min(max(spot, 0.0), cells - 1)
        spots.append((int(spot), min(int(spot) + 1, cells - 1), spot - int(spot)))
    (y0, y1, ty), (x0, x1, tx) = spots
    out = np.zeros(len(f), np.float32)
    for c in range(len(f)):
        top = f[c, y0, x0] * (1 - tx) + f[c, y0, x1] * tx
        out[c] = top * (1 - ty) + (f[c, y1, x0] * (1 - tx) + f[c, y1, x1] * tx) * ty
    return out


def features(
    f: np.ndarray, boxes: Sequence[Box], places: list[int], winner: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """`feature` at every cell that has a winner, row by row; `places`: the map of each slice."""
    grid = winner.shape
    cells = [(i, j) for i in range(grid[0]) for j in range(grid[1]) if winner[i, j] >= 0]
    rows = [feature(f[places[winner[cell]]], boxes[winner[cell]], size, cell, grid) for cell in cells]
    return np.array(rows).reshape(len(cells), f.shape[1])


def released_window_boxes(height: int, width: int) -> Tensor:
    """The 25 half-size windows of the released script, which leave the last tenth of the sides out.

    Shape: (25, 4) int64, rows (y, x, h, w).
    """
    h, w, dy, dx = height // 2, width // 2, height // 10, width // 10
    boxes = [(i * dy, j * dx, h, w) for i in range(5) for j in range(5)]
    return torch.tensor(boxes, dtype=torch.int64)
