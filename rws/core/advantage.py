"""Step 4, select: where a slice attends better than the whole image, and how to blend there.

`A` are maps of the whole image, `a` maps of a slice; both in [0, 1], stages first.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from rws.core.sampling import bilinear_taps


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where the whole is 0."""
    return torch.where(whole > 0, part / whole.clamp_min(torch.finfo(whole.dtype).tiny), 0.0)


def missing_weights(A: Tensor) -> Tensor:
    """Attention that other stages have and stage l lacks, w_l = A_max - A_l.

    Shape: (..., L, H, W) -> (..., L, H, W).
    """
    return A.amax(-3, keepdim=True) - A


def advantage(A: Tensor, A_max: Tensor, a: Tensor, a_max: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. 10 and eq. 9, position by position.

    Shape: four tensors that broadcast to (...,) -> `advantaged` bool (...,), `n` (...,) the share of the
    whole image's own feature, 1 where not advantaged, and `ratio` (...,) the slice's a_l / a_max.
    Source: eq. 9, eq. 10.
    """
    ratio_whole, ratio_slice = _ratio(A, A_max), _ratio(a, a_max)
    advantaged = (a > A) & (ratio_slice > ratio_whole) & (A_max - A != 0)  # eq. 10
    n = ratio_whole / (ratio_whole + ratio_slice)  # eq. 9
    return advantaged, torch.where(advantaged, n, 1.0), ratio_slice


@dataclass(frozen=True)
class Selection:
    """The best slice at each cell of one stage's grid.

    n: (H_l, W_l) share of the whole image's own feature, 1 where no slice is advantaged.
    winner: (H_l, W_l) int64, index of the slice whose feature is blended in, -1 where there is none.
    ratio: (H_l, W_l) the winner's a_l / a_max, -1 where there is none.
    """

    n: Tensor
    winner: Tensor
    ratio: Tensor


def grid_pixels(length: int, cells: int, device: torch.device | None = None) -> Tensor:
    """The pixel under the centre of each cell when `cells` cells tile `length` pixels.

    Shape: (cells,) int64.
    """
    return ((torch.arange(cells, device=device) * 2 + 1) * length).div(2 * cells, rounding_mode="floor")


def _inside(boxes_yxhw: Tensor, rows: Tensor, cols: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For K boxes: which grid cells lie inside, and their pixel offsets from the box's corner."""
    y, x, h, w = (v[:, None] for v in boxes_yxhw.unbind(1))
    dy, dx = rows - y, cols - x  # (K, H_l), (K, W_l)
    inside = ((dy >= 0) & (dy < h))[:, :, None] & ((dx >= 0) & (dx < w))[:, None, :]
    return inside, dy, dx


def select(A: Tensor, a: Tensor, boxes_yxhw: Tensor, stage: int, grid: tuple[int, int]) -> Selection:
    """The best slice at each cell of stage `stage`, judged at the pixel under the cell's centre.

    Where slices overlap, the advantaged one with the largest a_l / a_max wins, the first among equals.
    With `grid` equal to (H, W) this is the selection pixel by pixel.

    Shape: A (L, H, W); a (K, L, h, w), each slice's maps at any enlargement; boxes (K, 4) in pixels of
    (H, W) -> Selection on `grid` = (H_l, W_l).
    Source: METHOD step 4.
    """
    height, width = A.shape[-2:]
    rows = grid_pixels(height, grid[0], A.device)
    cols = grid_pixels(width, grid[1], A.device)
    inside, dy, dx = _inside(boxes_yxhw.to(A.device), rows, cols)
    whole = A[:, rows[:, None], cols]  # (L, H_l, W_l)
    parts = _gather(a, boxes_yxhw.to(A.device), dy, dx)  # (K, L, H_l, W_l)
    advantaged, n, ratio = advantage(whole[stage], whole.amax(0), parts[:, stage], parts.amax(1))
    order = torch.where(advantaged & inside, ratio, -1.0)
    best = order.amax(0)
    # Tensor.max may return any of several equal maxima; argmax over the first hit is the same everywhere.
    winner = (order == best).to(torch.uint8).argmax(0)
    fused = best >= 0
    n = torch.where(fused, n.gather(0, winner[None])[0], 1.0)
    return Selection(n, torch.where(fused, winner, -1), best)


def _gather(a: Tensor, boxes_yxhw: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """Slice maps at grid cells: the enlarged pixel under each cell; any value outside the box.

    Shape: (K, L, h', w'), offsets (K, H_l) and (K, W_l) in box pixels -> (K, L, H_l, W_l).
    """
    h, w = boxes_yxhw[:, 2:3], boxes_yxhw[:, 3:4]
    up_h, up_w = a.shape[-2:]
    rows = ((dy * 2 + 1) * up_h).div(2 * h, rounding_mode="floor").clamp(0, up_h - 1)
    cols = ((dx * 2 + 1) * up_w).div(2 * w, rounding_mode="floor").clamp(0, up_w - 1)
    k = torch.arange(len(a), device=a.device)[:, None, None]
    return a.permute(0, 2, 3, 1)[k, rows[:, :, None], cols[:, None, :]].permute(0, 3, 1, 2)


def slice_features(f: Tensor, boxes_yxhw: Tensor, winner: Tensor, size: tuple[int, int]) -> Tensor:
    """The winning slices' features at the fused cells, interpolated bilinearly inside each slice's map.

    Shape: f (K, C, h_l, w_l) feature maps of the slices; boxes (K, 4) in pixels of an image of `size` =
    (H, W); winner (H_l, W_l) -> (P, C), one row a fused cell in row-major order.
    """
    cells = torch.nonzero(winner >= 0)  # (P, 2)
    k = winner[cells[:, 0], cells[:, 1]]
    box = boxes_yxhw.to(f.device)[k]  # (P, 4)
    grid = torch.tensor(winner.shape, device=f.device)
    # Cell centres in image pixels (continuous), then in cells of the slice's own map.
    centre = (cells + 0.5) / grid * torch.tensor(size, device=f.device)
    spot = (centre - box[:, :2]) / box[:, 2:] * torch.tensor(f.shape[-2:], device=f.device) - 0.5
    taps, weights = bilinear_taps(spot, tuple(f.shape[-2:]))
    rows = f.permute(0, 2, 3, 1).reshape(-1, f.shape[1])  # no copy in channels_last
    taps = taps + k[:, None] * (f.shape[2] * f.shape[3])
    return F.embedding_bag(taps, rows, mode="sum", per_sample_weights=weights.to(f.dtype))


class BestSlices:
    """The best slice at each cell of every stage of one image, fed with its slices a few at a time.

    Memory is that of one image's features, however many slices there are. The first slice wins among
    equals, so the result does not depend on how the slices are divided.
    """

    def __init__(self, A: Tensor, channels_and_grids: list[tuple[int, int, int]]):
        """Shape: A (L, H, W) maps of the whole image; (C_l, H_l, W_l) of each stage."""
        self.A = A
        self.n = [A.new_ones(h, w) for _, h, w in channels_and_grids]
        self.ratio = [A.new_full((h, w), -1.0) for _, h, w in channels_and_grids]
        self.f = [A.new_zeros(h, w, c) for c, h, w in channels_and_grids]

    def update(self, a: Tensor, boxes_yxhw: Tensor, features: tuple[Tensor, ...]) -> None:
        """Let some slices compete.

        Shape: a (K, L, h, w); boxes (K, 4); features: L tensors (K, C_l, h_l, w_l).
        """
        for stage, f in enumerate(features):
            found = select(self.A, a, boxes_yxhw, stage, tuple(self.n[stage].shape))
            better = found.ratio > self.ratio[stage]
            self.ratio[stage] = torch.where(better, found.ratio, self.ratio[stage])
            self.n[stage] = torch.where(better, found.n, self.n[stage])
            winner = torch.where(better, found.winner, -1)
            self.f[stage][better] = slice_features(f, boxes_yxhw, winner, tuple(self.A.shape[-2:]))

    def rows(self, stage: int) -> tuple[Tensor, Tensor, Tensor]:
        """What fusion uses of a stage: flat indices of the cells with n < 1, their n and their features.

        Shape: (P,) int64, (P,), (P, C_l).
        """
        cells = torch.nonzero(self.n[stage].flatten() < 1).flatten()
        return cells, self.n[stage].flatten()[cells], self.f[stage].flatten(0, 1)[cells]
