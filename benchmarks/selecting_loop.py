"""METHOD steps 1 (masking), 2 and 4 as plain loops over pixels, the way the released script is written.

Arrays are indexed one element at a time; what is judged and where is what rws.core does, so that the results
can be compared.
"""

import numpy as np


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


def iou(attended: np.ndarray, front: np.ndarray, box: tuple[int, int, int, int]) -> float:
    """IoU of two masks inside a box."""
    top, left, h, w = box
    both = either = 0
    for y in range(top, top + h):
        for x in range(left, left + w):
            if attended[y, x] and front[y, x]:
                both += 1
            if attended[y, x] or front[y, x]:
                either += 1
    return both / max(either, 1)


def _divide(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def judge(
    A: np.ndarray, a: np.ndarray, boxes: list, places: list[int], stage: int, y: int, x: int
) -> tuple[float, int]:
    """Eq. 10, eq. 9 and the best slice at one pixel: n and the index of the winner (-1: none).

    a holds the maps of some slices, `places` says which of them belongs to each box.
    """
    n, winner, best = 1.0, -1, -1.0
    top_whole = max(A[s, y, x] for s in range(len(A)))
    for k, (top, left, h, w) in enumerate(boxes):
        if not (top <= y < top + h and left <= x < left + w):
            continue
        part = a[places[k], :, y - top, x - left]
        top_part = max(part[s] for s in range(len(A)))
        whole = _divide(A[stage, y, x], top_whole)
        ratio = _divide(part[stage], top_part)
        advantaged = part[stage] > A[stage, y, x] and ratio > whole and top_whole - A[stage, y, x] != 0
        if advantaged and ratio > best:
            n, winner, best = float(whole / (whole + ratio)), k, ratio
    return n, winner


def feature(
    f: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int], cell: tuple, grid: tuple
) -> np.ndarray:
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


def select(
    A: np.ndarray, a: np.ndarray, boxes: list, places: list[int], stage: int, f: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flat cells, n and features of one stage, judged at the pixel under the centre of each cell."""
    grid, size = f.shape[2:], A.shape[1:]
    cells, shares, rows = [], [], []
    for i in range(grid[0]):
        for j in range(grid[1]):
            y, x = int((i + 0.5) * size[0] / grid[0]), int((j + 0.5) * size[1] / grid[1])
            n, k = judge(A, a, boxes, places, stage, y, x)
            if k >= 0 and n < 1:
                cells.append(i * grid[1] + j)
                shares.append(n)
                rows.append(feature(f[places[k]], boxes[k], size, (i, j), grid))
    return np.array(cells), np.array(shares), np.array(rows).reshape(len(cells), f.shape[1])
