"""Bilinear interpolation of sparse positions as one weighted sum of rows."""

import torch
from torch import Tensor


def bilinear_taps(spot_yx: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The four cells around each position of a grid, and their weights; positions are clamped to the edge.

    Shape: (P, 2) continuous cells, 0 at the centre of the first -> flat cells (P, 4) int64, weights (P, 4).
    """
    # Numbers of the host enter as scalars: a tensor of them would be copied to the device.
    spots = [s.clamp(0, length - 1) for s, length in zip(spot_yx.unbind(1), grid)]
    (low_y, ty), (low_x, tx) = ((s.floor().long(), s - s.floor()) for s in spots)
    high_y, high_x = ((low + 1).clamp_max(n - 1) for low, n in zip((low_y, low_x), grid))
    cells = [y * grid[1] + x for y in (low_y, high_y) for x in (low_x, high_x)]
    weights = [(1 - ty) * (1 - tx), (1 - ty) * tx, ty * (1 - tx), ty * tx]
    return torch.stack(cells, 1), torch.stack(weights, 1)
