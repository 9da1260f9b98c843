"""Eq. 9 and 10 and the choice among slices against a loop written from METHOD step 4."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.selecting_loop import divide
from benchmarks.selecting_loop import features as loop_features
from benchmarks.selecting_loop import select as loop_select
from rws.core.advantage import BestSlices, advantage, grid_pixels, missing_weights, select, slice_features
from rws.core.slices import window_boxes

few = settings(max_examples=60, deadline=None)


def random_case(seed, height=20, width=30, stages=3, tenths=True):
    """Maps with many zeros, ones and ties; slices at steps of a fifth, the last flush with the edge."""
    generator = torch.Generator().manual_seed(seed)
    boxes = window_boxes(height, width, size=0.5, step=0.2)

    def maps(*shape):
        values = torch.rand(*shape, generator=generator, dtype=torch.float64) * 1.4 - 0.2
        return ((values * 10).round() / 10 if tenths else values).clamp(0, 1)

    h, w = boxes[0, 2:].tolist()
    return maps(stages, height, width), maps(len(boxes), stages, h, w), boxes


def assert_same(found, expected):
    n, winner, ratio = expected
    torch.testing.assert_close(found.n, n, rtol=0, atol=1e-12)
    assert torch.equal(found.winner, winner)
    torch.testing.assert_close(found.ratio, ratio, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tenths", [True, False], ids=["with ties", "without ties"])
@pytest.mark.parametrize(("height", "width"), [(20, 30), (21, 19)])
def test_selection_pixel_by_pixel_is_that_of_the_loop(height, width, tenths):
    A, a, boxes = random_case(height, height, width, tenths=tenths)
    for stage in range(len(A)):
        expected = loop_select(A, a, boxes.tolist(), stage, (height, width))
        assert_same(select(A, a, boxes, stage, (height, width)), expected)
        # Edge cover: something is fused in the last rows and columns as well.
        assert (expected[1][-2:] >= 0).any()
        assert (expected[1][:, -2:] >= 0).any()


@pytest.mark.parametrize("grid", [(5, 8), (7, 4), (1, 1), (10, 15), (3, 30), (27, 35)])
def test_selection_on_other_grids_is_judged_under_the_centre_of_each_cell(grid):
    A, a, boxes = random_case(5)
    for stage in range(len(A)):
        assert_same(select(A, a, boxes, stage, grid), loop_select(A, a, boxes.tolist(), stage, grid))


def test_float32_chooses_what_the_loop_chooses():
    A, a, boxes = (t.float() if t.is_floating_point() else t for t in random_case(8, tenths=False))
    found, (n, winner, _) = select(A, a, boxes, 1, (20, 30)), loop_select(A, a, boxes.tolist(), 1, (20, 30))
    assert torch.equal(found.winner, winner)
    torch.testing.assert_close(found.n.double(), n, rtol=0, atol=1e-6)


def test_grid_pixels_are_under_the_centres():
    assert grid_pixels(10, 5).tolist() == [1, 3, 5, 7, 9]
    assert grid_pixels(7, 7).tolist() == list(range(7))
    assert grid_pixels(9, 2).tolist() == [2, 6]
    assert grid_pixels(2, 4).tolist() == [0, 0, 1, 1]


def test_fault_1_n_is_1_exactly_where_no_slice_is_advantaged_also_inside_slices():
    A, a, boxes = random_case(2)
    for stage in range(len(A)):
        found = select(A, a, boxes, stage, (20, 30))
        _, winner, _ = loop_select(A, a, boxes.tolist(), stage, (20, 30))
        assert torch.equal(found.n == 1, winner == -1)
        assert (winner == -1).any()  # every pixel lies inside some slice
        assert ((found.n >= 0) & (found.n < 1))[winner >= 0].all()


def test_fault_6_ratios_and_positions_belong_to_the_slice_that_wins():
    A = torch.tensor([[[0.2]], [[0.4]]]).expand(2, 4, 4)
    boxes = torch.tensor([[0, 0, 2, 4], [0, 0, 4, 2]])
    a = torch.zeros(2, 2, 2, 4), torch.zeros(2, 2, 4, 2)
    a[0][0, 0], a[0][0, 1] = 0.6, 0.8  # ratio 3/4
    a[1][0, 0], a[1][0, 1] = 0.9, 0.9  # ratio 1
    best = BestSlices(A, [(1, 4, 4), (1, 4, 4)])
    for k in range(2):
        features = tuple(torch.full((1, 1, 2, 2), float(k + 1)) for _ in range(2))
        best.update(a[k][:1], boxes[k : k + 1], features)
    wide, tall = 0.5 / (0.5 + 0.75), 0.5 / 1.5
    expected = torch.full((4, 4), 1.0)
    expected[:2, 2:], expected[:, :2] = wide, tall
    torch.testing.assert_close(best.n[0], expected)
    cells, _, f = best.rows(0)
    assert cells.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13]
    assert f.flatten().tolist() == [2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 2, 2]


def test_missing_weights():
    A = torch.tensor([[[0.2, 0.0]], [[0.7, 0.0]], [[0.5, 1.0]]])
    torch.testing.assert_close(
        missing_weights(A), torch.tensor([[[0.5, 1.0]], [[0.0, 1.0]], [[0.2, 0.0]]]), rtol=0, atol=1e-7
    )
    batch = torch.rand(2, 3, 4, 5)
    assert torch.equal(missing_weights(batch), torch.stack([missing_weights(A) for A in batch]))
    assert (missing_weights(batch).amin(1) == 0).all()


@pytest.mark.parametrize(
    ("A", "A_max", "a", "a_max", "n"),
    [
        (0.0, 0.0, 0.0, 0.0, 1.0),
        (0.0, 0.0, 0.5, 0.5, 1.0),  # A_max = A_l
        (0.0, 0.5, 0.0, 0.0, 1.0),
        (0.0, 0.5, 0.5, 0.5, 0.0),
        (0.2, 0.4, 0.6, 0.8, 0.5 / 1.25),
        (0.4, 0.4, 0.6, 0.6, 1.0),  # the whole image attends most at this very stage
        (0.2, 0.4, 0.3, 0.6, 1.0),  # equal ratios
        (0.2, 0.3, 0.2, 0.2, 1.0),  # equal attention
        (0.2, 0.3, 0.3, 0.9, 1.0),  # more attention, smaller ratio
    ],
)
def test_eq_10_and_eq_9_by_hand(A, A_max, a, a_max, n):
    advantaged, found, ratio = advantage(*(torch.tensor(v) for v in (A, A_max, a, a_max)))
    assert bool(advantaged) == (n < 1)
    assert float(found) == pytest.approx(n, abs=1e-6)
    assert float(ratio) == pytest.approx(divide(a, a_max), abs=1e-6)


@pytest.mark.parametrize(("whole", "part"), [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0)])
def test_constant_maps_fuse_nothing_and_give_no_nan(whole, part):
    boxes = window_boxes(8, 8)
    A, a = torch.full((3, 8, 8), whole), torch.full((len(boxes), 3, 4, 4), part)
    found = select(A, a, boxes, 1, (8, 8))
    assert (found.n == 1).all()
    assert (found.winner == -1).all()


def features_for(boxes, seed):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(len(boxes), c, *s, generator=generator) for c, s in ((2, (6, 9)), (4, (3, 5))))


GRIDS = [(2, 10, 15), (4, 5, 8)]


def fed(A, a, boxes, features, chunk, order=None):
    best = BestSlices(A, GRIDS)
    order = torch.arange(len(boxes)) if order is None else order
    for part in order.split(chunk):
        best.update(a[part], boxes[part], tuple(f[part] for f in features))
    return best


def test_the_division_into_chunks_changes_no_choice():
    A, a, boxes = random_case(4, stages=2)
    A, a, features = A.float(), a.float(), features_for(boxes, 4)
    whole = fed(A, a, boxes, features, len(boxes))
    for chunk in (1, 3):
        part = fed(A, a, boxes, features, chunk)
        for stage in range(2):
            assert torch.equal(part.n[stage], whole.n[stage])
            assert torch.equal(part.ratio[stage], whole.ratio[stage])
            assert torch.equal(part.rows(stage)[0], whole.rows(stage)[0])
            # Sums of more or fewer rows at once may round otherwise.
            torch.testing.assert_close(part.rows(stage)[2], whole.rows(stage)[2], rtol=0, atol=1e-6)


def test_best_slices_are_those_of_select():
    A, a, boxes = random_case(6, stages=2)
    A, a, features = A.float(), a.float(), features_for(boxes, 6)
    best = fed(A, a, boxes, features, 3)
    for stage, (channels, *grid) in enumerate(GRIDS):
        found = select(A, a, boxes, stage, tuple(grid))
        cells, n, f = best.rows(stage)
        fused = found.winner.flatten() >= 0
        assert torch.equal(cells, torch.nonzero(fused).flatten())
        assert torch.equal(n, found.n.flatten()[fused])
        expected = slice_features(features[stage], boxes, found.winner, (20, 30))
        torch.testing.assert_close(f, expected, rtol=0, atol=1e-6)
        assert f.shape == (len(cells), channels)
        assert 0 < len(cells) < grid[0] * grid[1]


@pytest.mark.parametrize("own", [((6, 9), (6, 9)), ((6, 9), (5, 7))], ids=["one size", "two sizes"])
@pytest.mark.parametrize("chunk", [1, 3, 36])
def test_stages_that_share_a_grid_are_selected_each_by_itself(own, chunk):
    """Together they are judged once; each keeps its own winners and reads its own maps."""
    A, a, boxes = random_case(11, stages=3)
    A, a, generator = A.float(), a.float(), torch.Generator().manual_seed(11)
    shapes = [(3, *own[0]), (2, 3, 4), (5, *own[1])]
    features = tuple(torch.randn(len(boxes), *shape, generator=generator) for shape in shapes)
    best = BestSlices(A, [(3, 8, 9), (2, 4, 5), (5, 8, 9)])
    for part in torch.arange(len(boxes)).split(chunk):
        best.update(a[part], boxes[part], tuple(f[part] for f in features))
    for stage, grid in enumerate([(8, 9), (4, 5), (8, 9)]):
        n, winner, _ = loop_select(A, a, boxes.tolist(), stage, grid)
        cells, shares, f = best.rows(stage)
        assert torch.equal(cells, torch.nonzero(winner.flatten() >= 0).flatten())
        torch.testing.assert_close(shares.double(), n[winner >= 0], rtol=0, atol=1e-6)
        places = list(range(len(boxes)))
        expected = loop_features(features[stage].numpy(), boxes.tolist(), places, winner.numpy(), (20, 30))
        torch.testing.assert_close(f, torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


@few
@given(st.data())
def test_boxes_of_any_size_and_place_at_any_enlargement_are_judged_as_by_the_loop(data):
    height, width = data.draw(st.tuples(*[st.integers(1, 23)] * 2), label="image")
    grid = data.draw(st.tuples(*[st.integers(1, 25)] * 2), label="grid")
    up = data.draw(st.tuples(*[st.integers(1, 29)] * 2), label="enlarged")
    corners = st.tuples(st.integers(0, height - 1), st.integers(0, width - 1))
    boxes = [
        (y, x, data.draw(st.integers(1, height - y)), data.draw(st.integers(1, width - x)))
        for y, x in data.draw(st.lists(corners, min_size=1, max_size=5), label="corners")
    ]
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99), label="seed"))
    A, a = (
        torch.randint(0, 5, shape, generator=generator).double() / 4
        for shape in ((2, height, width), (len(boxes), 2, *up))
    )
    own = torch.zeros(len(boxes), 2, height, width, dtype=torch.float64)  # each slice's maps at its own size
    for k, (_, _, h, w) in enumerate(boxes):
        rows, cols = ([int((i + 0.5) * m / s) for i in range(s)] for s, m in ((h, up[0]), (w, up[1])))
        own[k, :, :h, :w] = a[k][:, rows][:, :, cols]
    for stage in range(2):
        expected = loop_select(A, own, boxes, stage, grid)
        assert_same(select(A, a, torch.tensor(boxes), stage, grid), expected)


def test_no_slices_fuse_nothing():
    best = BestSlices(torch.rand(2, 8, 8), [(3, 4, 4), (5, 2, 2)])
    cells, n, f = best.rows(1)
    assert (tuple(cells.shape), tuple(n.shape), tuple(f.shape)) == ((0,), (0,), (0, 5))


def ramps(boxes, cells):
    """Feature maps whose two channels are the image coordinates (y, x) of each cell's centre."""
    out = torch.zeros(len(boxes), 2, *cells, dtype=torch.float64)
    for k, (y, x, h, w) in enumerate(boxes.tolist()):
        out[k, 0] = (y + (torch.arange(cells[0]) + 0.5) * h / cells[0])[:, None]
        out[k, 1] = x + (torch.arange(cells[1]) + 0.5) * w / cells[1]
    return out


@pytest.mark.parametrize("map_cells", [(6, 9), (10, 15), (33, 20), (2, 3)])
@pytest.mark.parametrize("grid", [(20, 30), (5, 8), (7, 11)])
def test_fault_2_features_are_placed_where_the_slice_lies(grid, map_cells):
    height, width = 20, 30
    boxes = window_boxes(height, width, size=0.5, step=0.2)
    f = ramps(boxes, map_cells)
    for k, (y, x, h, w) in enumerate(boxes.tolist()):
        centre_y = ((torch.arange(grid[0]) + 0.5) * height / grid[0]).double()[:, None].expand(grid)
        centre_x = ((torch.arange(grid[1]) + 0.5) * width / grid[1]).double().expand(grid)
        inside = (centre_y > y) & (centre_y < y + h) & (centre_x > x) & (centre_x < x + w)
        found = slice_features(f, boxes, torch.where(inside, k, -1), (height, width))
        # A slice's map says nothing beyond its outermost cell centres: there it is clamped.
        edge_y, edge_x = h / map_cells[0] / 2, w / map_cells[1] / 2
        expected_y = centre_y[inside].clamp(y + edge_y, y + h - edge_y)
        expected_x = centre_x[inside].clamp(x + edge_x, x + w - edge_x)
        torch.testing.assert_close(found, torch.stack([expected_y, expected_x], 1), rtol=0, atol=1e-4)


def test_each_cell_takes_the_feature_of_its_own_winner():
    boxes = torch.tensor([[0, 0, 4, 4], [4, 4, 4, 4], [0, 4, 4, 4]])
    f = torch.tensor([10.0, 20.0, 30.0])[:, None, None, None].expand(3, 1, 2, 2)
    winner = torch.tensor([[0, 2], [-1, 1]])
    assert slice_features(f, boxes, winner, (8, 8)).flatten().tolist() == [10, 30, 20]
