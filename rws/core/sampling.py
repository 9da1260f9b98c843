"""Bilinear interpolation of sparse positions as one weighted sum of rows."""

import torch
from torch import Tensor


def bilinear_taps(spot_yx: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The four cells around each position of a grid, and their weights; positions are clamped to the edge.

    Shape: (P, 2) continuous cells, 0 at the centre of the first -> flat cells (P, 4) int64, weights (P, 4).
    """
    limit = torch.tensor(grid, device=spot_yx.device) - 1
    spot = torch.minimum(spot_yx.clamp_min(0), limit.to(spot_yx.dtype))
    low = spot.floor().long()
    high = torch.minimum(low + 1, limit)
    ty, tx = (spot - low).unbind(1)
    cells = [y * grid[1] + x for y in (low[:, 0], high[:, 0]) for x in (low[:, 1], high[:, 1])]
    weights = [(1 - ty) * (1 - tx), (1 - ty) * tx, ty * (1 - tx), ty * tx]
    return torch.stack(cells, 1), torch.stack(weights, 1)
