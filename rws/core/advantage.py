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


def _along(
    pixels: Tensor, start: Tensor, side: Tensor, most: int, enlarged: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The cells of one axis inside each of K intervals, at most `most` of them.

    Shape: pixels (cells,) of the image under the cells; start, side (K,) -> (K, most): `cell`; `inside`,
    False for what is left over; `own`, which of the slice's `enlarged` pixels lies there.
    """
    cell = torch.searchsorted(pixels, start)[:, None] + torch.arange(most, device=pixels.device)
    inside = cell < len(pixels)
    cell = cell.clamp_max(len(pixels) - 1)
    offset, side = pixels[cell] - start[:, None], side[:, None]
    own = ((offset * 2 + 1) * enlarged).div(2 * side, rounding_mode="floor").clamp(0, enlarged - 1)
    return cell, inside & (offset < side), own


class _Grid:
    """The cells of stages that share a grid, and the whole image's maps under their centres."""

    def __init__(self, A: Tensor, shape: tuple[int, int]):
        self.shape, self.size = shape, tuple(A.shape[-2:])
        self.rows, self.cols = (grid_pixels(*lengths, A.device) for lengths in zip(self.size, shape))
        self.whole = A[:, self.rows[:, None], self.cols].flatten(1)  # (L, cells)

    def inside(
        self, boxes_yxhw: Tensor, largest: list[int], enlarged: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The cells inside each of K boxes, none of which exceeds `largest` = (h, w).

        Shape: (K, 4) -> (K, P): `cell`; `inside`, False for what is left over; `own`, the
        slice's pixel there.
        """
        y, x, h, w = boxes_yxhw.T.contiguous()
        most = [-(-side * cells // length) for side, cells, length in zip(largest, self.shape, self.size)]
        cell_y, inside_y, own_y = _along(self.rows, y, h, most[0], enlarged[0])
        cell_x, inside_x, own_x = _along(self.cols, x, w, most[1], enlarged[1])
        cell = cell_y[:, :, None] * self.shape[1] + cell_x[:, None]
        own = own_y[:, :, None] * enlarged[1] + own_x[:, None]
        return cell.flatten(1), (inside_y[:, :, None] & inside_x[:, None]).flatten(1), own.flatten(1)


def _select(grid: _Grid, a: Tensor, boxes_yxhw: Tensor, largest: list[int], stages: list[int]) -> Selection:
    """`select` for S stages that share a grid; what it returns is (S, H_l, W_l)."""
    cell, inside, own = grid.inside(boxes_yxhw, largest, tuple(a.shape[-2:]))
    part = a.flatten(2).gather(2, own[:, None].expand(-1, a.shape[1], -1))  # (K, L, P)
    whole = grid.whole[:, cell]  # (L, K, P)
    whole_l, part_l = (torch.stack([maps[s] for s in stages]) for maps in (whole, part.unbind(1)))
    advantaged, n, ratio = advantage(whole_l, whole.amax(0), part_l, part.amax(1))
    order = torch.where(advantaged & inside, ratio, -1.0).flatten(1)  # (S, K P)
    best, first = _first_largest(order, cell.flatten().expand(len(stages), -1), grid.whole.shape[1])
    fused = best >= 0
    n = torch.where(fused, n.flatten(1).gather(1, first), 1.0)
    winner = torch.where(fused, first.div(cell.shape[1], rounding_mode="floor"), -1)
    return Selection(*(v.unflatten(1, grid.shape) for v in (n, winner, best)))


def _first_largest(order: Tensor, cell: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """The largest value that falls on each cell, -1 where none does, and the position of the first such.

    Shape: (S, M) values >= -1 and the cells they fall on -> (S, cells), (S, cells) int64.
    """
    best = order.new_full((len(order), cells), -1.0).scatter_reduce_(1, cell, order, "amax")
    last = order.shape[1] - 1
    place = torch.arange(last + 1, device=order.device)
    # scatter_reduce gives no position, and may meet equal values in any order: the smallest one is the first.
    place = torch.where(order == best.gather(1, cell), place, last)
    return best, place.new_full(best.shape, last).scatter_reduce_(1, cell, place, "amin")


def select(A: Tensor, a: Tensor, boxes_yxhw: Tensor, stage: int, grid: tuple[int, int]) -> Selection:
    """The best slice at each cell of stage `stage`, judged at the pixel under the cell's centre.

    Where slices overlap, the advantaged one with the largest a_l / a_max wins, the first among equals.
    With `grid` equal to (H, W) this is the selection pixel by pixel.

    Shape: A (L, H, W); a (K, L, h, w), each slice's maps at any enlargement; boxes (K, 4) in pixels of
    (H, W) -> Selection on `grid` = (H_l, W_l).
    Source: METHOD step 4.
    """
    boxes = boxes_yxhw.to(A.device)
    found = _select(_Grid(A, grid), a, boxes, _largest(boxes), [stage])
    return Selection(found.n[0], found.winner[0], found.ratio[0])


def _largest(boxes_yxhw: Tensor) -> list[int]:
    """Largest height and largest width among (K, 4) boxes."""
    return boxes_yxhw[:, 2:].amax(0).tolist()


def slice_features(f: Tensor, boxes_yxhw: Tensor, winner: Tensor, size: tuple[int, int]) -> Tensor:
    """The winning slices' features at the fused cells, interpolated bilinearly inside each slice's map.

    Shape: f (K, C, h_l, w_l) feature maps of the slices; boxes (K, 4) in pixels of an image of `size` =
    (H, W); winner (H_l, W_l) -> (P, C), one row a fused cell in row-major order.
    """
    cells = torch.nonzero(winner >= 0)
    k = winner[cells[:, 0], cells[:, 1]]
    taps, weights = _taps(cells, k, boxes_yxhw.to(f.device), tuple(winner.shape), size, tuple(f.shape[-2:]))
    return _weighted_rows(f, taps, weights)


def _taps(
    cells: Tensor,
    k: Tensor,
    boxes_yxhw: Tensor,
    grid: tuple[int, int],
    size: tuple[int, int],
    own: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Where the features of P cells (P, 2) lie among all cells of the slices' own maps, with weights.

    Shape: k (P,), each cell's slice -> (P, 4), (P, 4).
    """
    box = boxes_yxhw[k]  # (P, 4)
    spots = []
    for axis in (0, 1):
        # Cell centres in image pixels (continuous), then in cells of the slice's own map.
        centre = (cells[:, axis] + 0.5) / grid[axis] * size[axis]
        spots.append((centre - box[:, axis]) / box[:, axis + 2] * own[axis] - 0.5)
    taps, weights = bilinear_taps(torch.stack(spots, 1), own)
    return taps + k[:, None] * (own[0] * own[1]), weights


def _weighted_rows(f: Tensor, taps: Tensor, weights: Tensor) -> Tensor:
    """Sums over the taps: (K, C, h, w), (P, 4), (P, 4) -> (P, C)."""
    rows = f.permute(0, 2, 3, 1).reshape(-1, f.shape[1])  # no copy in channels_last
    return F.embedding_bag(taps, rows, mode="sum", per_sample_weights=weights.to(f.dtype))


class BestSlices:
    """The best slice at each cell of every stage of one image, fed with its slices a few at a time.

    Memory is that of one image's features, however many slices there are. The first slice wins among
    equals, so the result does not depend on how the slices are divided.
    """

    def __init__(self, A: Tensor, channels_and_grids: list[tuple[int, int, int]]):
        """Shape: A (L, H, W) maps of the whole image; (C_l, H_l, W_l) of each stage."""
        self.shapes = [(h, w) for _, h, w in channels_and_grids]
        self.grids = {shape: _Grid(A, shape) for shape in dict.fromkeys(self.shapes)}
        self.n = [A.new_ones(shape) for shape in self.shapes]
        self.ratio = [A.new_full(shape, -1.0) for shape in self.shapes]
        self.winner = [torch.full_like(n, -1, dtype=torch.int64) for n in self.n]
        self.seen = 0  # slices so far
        # One row a cell; that of a cell into which nothing is blended is neither written nor read.
        self.f = [A.new_empty(h * w, channels) for channels, h, w in channels_and_grids]

    def update(self, a: Tensor, boxes_yxhw: Tensor, features: tuple[Tensor, ...]) -> None:
        """Let some slices compete.

        Shape: a (K, L, h, w); boxes (K, 4); features: L tensors (K, C_l, h_l, w_l).
        """
        boxes = boxes_yxhw.to(a.device)
        largest = _largest(boxes)
        # Stages whose cells lie at the same places, here and in the slices, are judged together.
        alike: dict[tuple, list[int]] = {}
        for stage, f in enumerate(features):
            alike.setdefault((self.shapes[stage], tuple(f.shape[-2:])), []).append(stage)
        for (shape, own), stages in alike.items():
            found = _select(self.grids[shape], a, boxes, largest, stages)
            better = found.ratio > torch.stack([self.ratio[stage] for stage in stages])
            cells = torch.nonzero(better)  # (P, 3), stage by stage
            taps, weights = _taps(
                cells[:, 1:], found.winner[cells.unbind(1)], boxes, shape, self.grids[shape].size, own
            )
            rows = cells[:, 1] * shape[1] + cells[:, 2]
            counts = better.sum((1, 2)).tolist()
            parts = zip(*(v.split(counts) for v in (rows, taps, weights)))
            for s, (stage, part) in enumerate(zip(stages, parts)):
                self.ratio[stage] = torch.where(better[s], found.ratio[s], self.ratio[stage])
                self.n[stage] = torch.where(better[s], found.n[s], self.n[stage])
                self.winner[stage] = torch.where(better[s], found.winner[s] + self.seen, self.winner[stage])
                self.f[stage].index_copy_(0, part[0], _weighted_rows(features[stage], *part[1:]))
        self.seen += len(boxes)

    def rows(self, stage: int) -> tuple[Tensor, Tensor, Tensor]:
        """What fusion uses of a stage: flat indices of the cells with n < 1, their n and their features.

        Shape: (P,) int64, (P,), (P, C_l).
        """
        cells = torch.nonzero(self.n[stage].flatten() < 1).flatten()
        return cells, self.n[stage].flatten()[cells], self.f[stage][cells]
