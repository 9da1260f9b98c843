"""Where to look again, against plain loops, and what is put in place against what it promises."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rws.core.windows import (
    DISCOUNT,
    HOLD,
    candidate_windows,
    choose_windows,
    classes_of_both,
    edge_weights,
    finer_grid,
    on_grid,
    put_in_place,
    sides_that_show_more,
    uncertainty,
    whole_enlarged,
)


def probabilities(classes=3, height=12, width=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(classes, height, width, generator=generator).mul(2).softmax(0)


def test_uncertainty_is_0_where_sure_and_1_where_nothing_is_known():
    p = torch.tensor([[1.0, 0.25, 0.5], [0.0, 0.25, 0.5], [0.0, 0.25, 0.0], [0.0, 0.25, 0.0]])[:, None]
    torch.testing.assert_close(uncertainty(p)[0], torch.tensor([0.0, 1.0, 0.5]))
    assert uncertainty(torch.ones(1, 2, 2)).tolist() == [[0, 0], [0, 0]], "a single class is never in doubt"


def test_a_whole_image_is_enlarged_by_the_root_of_its_passes_where_it_has_pixels_for_it():
    assert whole_enlarged((192, 256), (360, 480), 2) == (272, 362)
    assert whole_enlarged((192, 256), (360, 480), 4) == (384, 512)
    assert whole_enlarged((192, 256), (256, 342), 4) == (384, 512), "1.5 times its own pixels"
    assert whole_enlarged((192, 256), (255, 340), 4) is None


def test_candidates_lie_inside_have_their_sides_and_reach_every_corner():
    boxes = candidate_windows(100, 61, (0.5, 0.7)).tolist()
    assert {(h, w) for _, _, h, w in boxes} == {(50, 31), (70, 43)}
    assert all(y >= 0 and x >= 0 and y + h <= 100 and x + w <= 61 for y, x, h, w in boxes)
    assert len(boxes) == len({tuple(box) for box in boxes}) == 25 + 16
    with pytest.raises(ValueError, match="a window of 1 of the sides"):
        candidate_windows(100, 61, (1.0,))


def test_small_windows_need_an_image_that_has_pixels_for_them():
    assert sides_that_show_more((0.7, 0.5), 375, 224) == [0.7, 0.5]
    assert sides_that_show_more((0.7, 0.5), 299, 224) == [0.7, 0.5]
    assert sides_that_show_more((0.7, 0.5), 298, 224) == [0.7]
    assert sides_that_show_more((0.7, 0.5), 100, 224) == [0.7], "the largest stays"


def by_loop(unsure, boxes, most):
    """Plain Python over pixels."""
    height, width = unsure.shape
    left = {(r, c): unsure[r, c].item() for r in range(height) for c in range(width)}
    taken, worth = [], []
    for _ in range(most):
        held = {
            k: sum(left[r, c] for r in range(y, y + h) for c in range(x, x + w))
            for k, (y, x, h, w) in enumerate(boxes)
            if k not in taken
        }
        small, large = ([k for k in held if boxes[k][2] == side] for side in (height // 2, height * 7 // 10))
        enough = [k for k in small if held[k] >= HOLD * sum(left.values())]
        best = max(enough or large, key=lambda k: (held[k], -k))
        y, x, h, w = boxes[best]
        value = held[best] / (height * width) * math.log2(math.sqrt(height * width / (h * w)))
        taken.append(best)
        worth.append(min(value, *worth) if worth else value)
        for r in range(y, y + h):
            for c in range(x, x + w):
                left[r, c] *= DISCOUNT
    return taken, worth


@pytest.mark.parametrize("seed", range(6))
def test_windows_are_those_of_the_plain_loop(seed):
    unsure = uncertainty(probabilities(height=20, width=20, seed=seed)) ** 2
    if seed % 2:  # most of it in a corner, which a small window holds
        unsure[8:, :] *= 0.2
    boxes = candidate_windows(*unsure.shape, (0.5, 0.7))
    taken, worth = choose_windows(unsure, boxes, 5)
    expected, values = by_loop(unsure, boxes.tolist(), 5)
    assert taken == expected
    assert worth == pytest.approx(values)
    assert worth == sorted(worth, reverse=True)
    assert (boxes[taken[0], 2] == 10) == bool(seed % 2)


@pytest.mark.parametrize(("width", "side"), [(8, 20), (36, 28)])
def test_a_small_window_is_taken_where_it_holds_enough_of_what_is_unsure(width, side):
    """Of a square of 40 pixels a part is unsure: half a side holds a narrow one, not a wide one."""
    unsure = torch.zeros(40, 40)
    unsure[2:38, 2 : 2 + width] = 1
    boxes = candidate_windows(40, 40, (0.7, 0.5))
    taken, _ = choose_windows(unsure, boxes, 1)
    assert boxes[taken[0], 2:].tolist() == [side, side]


def test_the_first_window_lies_over_what_is_unsure_and_the_next_elsewhere():
    unsure = torch.zeros(40, 40)
    unsure[2:12, 25:38], unsure[30:36, 4:10] = 1.0, 0.9
    boxes = candidate_windows(40, 40, (0.5,))
    taken, _ = choose_windows(unsure, boxes, 2)
    (y, x, h, w), (y2, x2, h2, w2) = boxes[taken].tolist()
    assert unsure[y : y + h, x : x + w].sum() == 130
    assert unsure[y2 : y2 + h2, x2 : x2 + w2].sum() == pytest.approx(32.4)


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_what_is_no_finite_number_counts_as_sure_and_the_map_stays_as_it_is(broken):
    unsure = torch.zeros(40, 40, dtype=torch.float64)
    unsure[2:12, 25:38] = 1.0
    damaged = unsure.clone()
    damaged[30:] = broken
    before, boxes = damaged.clone(), candidate_windows(40, 40, (0.5,))
    assert choose_windows(damaged, boxes, 2) == choose_windows(unsure, boxes, 2)
    torch.testing.assert_close(damaged, before, rtol=0, atol=0, equal_nan=True)


def test_no_more_windows_than_there_are():
    taken, worth = choose_windows(torch.ones(8, 8), candidate_windows(8, 8, (0.5,))[:3], 9)
    assert sorted(taken) == [0, 1, 2]
    assert len(worth) == 3


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 30), st.integers(4, 30), st.data())
def test_weights_fall_to_an_edge_inside_the_image_and_not_to_the_images_own(height, width, data):
    y, x = data.draw(st.integers(0, height - 2)), data.draw(st.integers(0, width - 2))
    h, w = data.draw(st.integers(2, height - y)), data.draw(st.integers(2, width - x))
    weights = edge_weights((y, x, h, w), (height, width))
    assert weights.shape == (h, w)
    assert 0 < weights.min() <= weights.max() <= 1
    whole = edge_weights((0, 0, height, width), (height, width))
    assert (whole == 1).all()
    if y == 0 and x == 0:
        assert weights[0, 0] == 1
    if y > 0 and h >= 10:
        assert (weights[0] <= 0.3).all()


def test_what_is_seen_alike_stays_and_what_no_slice_holds_is_the_wholes():
    whole = probabilities(3, 20, 24)
    boxes = torch.tensor([[0, 0, 10, 12], [5, 6, 12, 12]])
    parts = [whole[:, y : y + h, x : x + w] for y, x, h, w in boxes.tolist()]
    torch.testing.assert_close(put_in_place(whole, parts, boxes), whole)
    others = [torch.zeros_like(part) for part in parts]
    found = put_in_place(whole, others, boxes)
    assert torch.equal(found[:, 17:], whole[:, 17:])
    assert torch.equal(found[:, 0, 0], whole[:, 0, 0] / 2)


def test_in_each_pixel_slices_have_the_share_that_they_are_given():
    whole = torch.zeros(1, 20, 24)
    box = torch.tensor([[0, 0, 20, 24]])  # the image's own edges: the share falls nowhere
    share = torch.rand(20, 24, generator=torch.Generator().manual_seed(0))

    found = put_in_place(whole, [torch.ones(1, 20, 24)], box, share=share)

    torch.testing.assert_close(found[0], share)


def test_put_in_place_takes_the_memory_of_the_whole_where_it_may_and_else_leaves_it():
    whole = probabilities(4, 20, 24)
    boxes = torch.tensor([[0, 0, 10, 12], [5, 6, 12, 12]])
    parts = [probabilities(4, h, w, seed=k) for k, (_, _, h, w) in enumerate(boxes.tolist())]
    before = whole.clone()
    found = put_in_place(whole, parts, boxes)
    assert torch.equal(whole, before)
    assert not torch.equal(found, before)
    over = put_in_place(whole, iter(parts), boxes, overwrite=True)
    assert torch.equal(over, found)
    assert over.data_ptr() == whole.data_ptr()


def test_no_seam_is_larger_than_the_step_of_its_neighbours():
    """A slice that says 1 over a whole that says 0: along a row the result rises by even steps."""
    whole = torch.zeros(1, 60, 80)
    found = put_in_place(whole, [torch.ones(1, 40, 50)], torch.tensor([[10, 15, 40, 50]]))[0, 30]
    steps = found.diff().abs()
    assert found.max() == 0.5
    assert steps.max() <= 0.5 / (0.2 * 50) + 1e-6
    assert found[14] == found[65] == 0


@pytest.mark.parametrize("size", [(224, 298), (33, 500), (240, 321)])
def test_on_the_finer_grid_a_window_is_as_large_as_the_image_was(size):
    boxes = candidate_windows(*size, (0.7,))
    grid = finer_grid(size, tuple(boxes[0, 2:].tolist()), (10_000, 10_000))
    placed = on_grid(boxes, size, grid)
    assert {tuple(box[2:]) for box in placed.tolist()} == {size}
    ends = placed[:, :2] + placed[:, 2:]
    assert ends.amax(0).tolist() == list(grid)  # the last windows still end at the edge
    assert placed[:, :2].amin(0).tolist() == [0, 0]
    scale = torch.tensor(grid) / torch.tensor(size)
    assert (placed[:, :2] - boxes[:, :2] * scale).abs().max() <= 1


def test_the_grid_is_no_finer_than_the_photograph():
    assert finer_grid((100, 100), (50, 50), (199, 400)) == (199, 400)
    boxes = torch.tensor([[0, 0, 50, 50], [50, 50, 50, 50]])
    assert on_grid(boxes, (100, 100), (10, 30)).tolist() == [[0, 0, 5, 15], [5, 15, 5, 15]]


def test_put_in_place_is_a_mean_of_probabilities():
    whole = probabilities(4, 20, 24)
    boxes = candidate_windows(20, 24, (0.5, 0.7))[::7]
    parts = [probabilities(4, h, w, seed=k) for k, (_, _, h, w) in enumerate(boxes.tolist())]
    found = put_in_place(whole, parts, boxes)
    torch.testing.assert_close(found.sum(0), torch.ones(20, 24))
    assert found.min() >= 0


def test_a_slice_says_where_and_with_the_whole_image_of_which_class():
    slices = torch.stack([probabilities(4, 6, 6, seed=k) for k in range(2)])
    wholes = torch.stack([probabilities(4, 6, 6, seed=k) for k in (7, 8)])
    before = slices.clone()
    found = classes_of_both(slices, wholes, background=1)
    assert torch.equal(slices, before)
    assert torch.equal(found[:, 1], slices[:, 1])
    torch.testing.assert_close(found.sum(1), torch.ones(2, 6, 6))
    for k, y, x in ((0, 0, 0), (1, 3, 5)):
        both = (slices + wholes)[k, [0, 2, 3], y, x]
        expected = both / both.sum() * (1 - slices[k, 1, y, x])
        torch.testing.assert_close(found[k, [0, 2, 3], y, x], expected)


def test_where_the_whole_sees_no_object_a_slice_alone_says_which():
    slice_ = torch.tensor([0.2, 0.5, 0.3])[None, :, None, None]
    whole = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    torch.testing.assert_close(classes_of_both(slice_, whole, 0), slice_)
    assert torch.equal(classes_of_both(whole, whole, 0), whole)


@pytest.mark.parametrize(("count", "background"), [(3, None), (2, 0), (2, 1)])
def test_with_nothing_to_tell_apart_slices_stay_as_they_are(count, background):
    slices, wholes = (torch.stack([probabilities(count, 5, 4, seed=k)]) for k in range(2))
    assert torch.equal(classes_of_both(slices, wholes, background), slices)
