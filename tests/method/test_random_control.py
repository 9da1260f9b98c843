"""The control: as many windows and cells as eq. 10 chose, elsewhere."""

import pytest
import torch

from rws.config import SliceConfig
from rws.data.sliced_images import SlicedImage
from rws.method.bank import Rows
from rws.method.random_control import first_cover, random_boxes, random_rows, shuffled

SIZE = (40, 60)
CONFIG = SliceConfig(step=0.25)  # 9 windows
GRIDS = {"early": (20, 30), "late": (5, 8)}


def rows(count: int, grid: tuple[int, int]) -> Rows:
    n = torch.linspace(0.1, 0.9, count)
    return Rows(torch.arange(count), n, torch.zeros(count, 2), grid)


def test_the_first_box_that_holds_a_cells_centre():
    boxes = torch.tensor([[0, 0, 20, 30], [10, 15, 20, 30]])
    cover = first_cover(boxes, SIZE, GRIDS["late"])
    for r in range(5):
        for c in range(8):
            y, x = (2 * r + 1) * 40 // 10, (2 * c + 1) * 60 // 16
            inside = [
                k for k, (by, bx, h, w) in enumerate(boxes.tolist()) if by <= y < by + h and bx <= x < bx + w
            ]
            assert cover[r, c] == (inside[0] if inside else -1)


def test_as_many_different_windows_as_there_were_slices():
    advantaged = {stage: rows(3, grid) for stage, grid in GRIDS.items()}
    found = random_boxes(advantaged, 4, SIZE, CONFIG, seed=1)
    assert len(found) == len(set(found)) == 4
    assert found == random_boxes(advantaged, 4, SIZE, CONFIG, seed=1)
    assert len({tuple(random_boxes(advantaged, 4, SIZE, CONFIG, seed=s)) for s in range(5)}) > 1


def test_more_windows_where_they_hold_too_few_cells():
    everything = {"late": rows(40, GRIDS["late"])}
    found = random_boxes(everything, 1, SIZE, CONFIG, seed=1)
    assert len(found) > 1
    assert (first_cover(torch.tensor(found), SIZE, GRIDS["late"]) >= 0).all()


def test_the_shares_are_dealt_out_anew_over_covered_cells():
    cover = first_cover(torch.tensor([[0, 0, 20, 30]]), SIZE, GRIDS["early"])
    before = rows(50, GRIDS["early"])
    cells, n = shuffled(before, cover, seed=2)
    assert len(cells) == len(set(cells.tolist())) == 50
    assert (cover.flatten()[cells] >= 0).all()
    assert cells.tolist() == sorted(cells.tolist())
    assert torch.equal(n.sort().values, before.n.sort().values)
    assert not torch.equal(n, before.n)


@pytest.mark.parametrize("seed", [0, 1])
def test_features_come_from_the_window_that_covers_the_cell(seed):
    advantaged = {stage: rows(12, grid) for stage, grid in GRIDS.items()}
    boxes = torch.tensor(random_boxes(advantaged, 3, SIZE, CONFIG, seed))
    features = {
        stage: torch.arange(len(boxes)).float()[:, None, None, None].expand(-1, 2, *grid)
        for stage, grid in GRIDS.items()
    }
    label = torch.zeros(SIZE, dtype=torch.long)
    item = SlicedImage("a", torch.zeros(3, *SIZE), label, boxes, torch.zeros(0))
    found = random_rows(item, advantaged, features, seed)
    for each in found.values():
        assert len(each.cells) == 12
        cover = first_cover(boxes, SIZE, each.grid).flatten()[each.cells]
        torch.testing.assert_close(each.f, cover[:, None].expand(-1, 2).float())
