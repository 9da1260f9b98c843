"""Window geometry, crops, and the weak-slice test against plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.selecting_loop import iou, released_window_boxes
from rws.core.slices import (
    box_sums,
    crop,
    slice_iou,
    weak_slices,
    window_boxes,
)

few = settings(max_examples=40, deadline=None)
sides = st.integers(32, 700)
GEOMETRIES = [
    (0.5, 0.1),
    (0.5, 0.5),
    (0.3, 0.3),
    (0.25, 0.2),
    (0.4, 0.15),
    (1 / 3, 0.1),
    (0.7, 0.05),
    (1.0, 1.0),
]


def covered(height, width, boxes):
    seen = np.zeros((height, width), bool)
    for y, x, h, w in boxes.tolist():
        seen[y : y + h, x : x + w] = True
    return seen


@few
@given(sides, sides, st.sampled_from(GEOMETRIES))
def test_windows_cover_every_pixel_and_lie_inside(height, width, geometry):
    size, step = geometry
    boxes = window_boxes(height, width, size=size, step=step)
    y, x, h, w = boxes.unbind(1)
    assert boxes.dtype == torch.int64
    assert min(y.min(), x.min()) >= 0
    assert (y + h).max() == height
    assert (x + w).max() == width
    assert len(boxes[:, 2:].unique(dim=0)) == 1
    assert abs(h[0].item() - size * height) < 1
    assert abs(w[0].item() - size * width) < 1
    assert len(boxes.unique(dim=0)) == len(boxes)
    assert covered(height, width, boxes).all()


@few
@given(sides, sides)
def test_the_defaults_are_36_windows_of_half_the_sides_at_any_size(height, width):
    boxes = window_boxes(height, width)
    assert len(boxes) == 36
    starts = sorted(set(boxes[:, 0].tolist()))
    assert len(starts) == 6
    assert all(abs(start - k * height / 10) <= 1 for k, start in enumerate(starts))


def test_tiny_images_have_windows_too():
    for height, width in ((1, 1), (2, 3), (5, 1), (9, 11)):
        assert covered(height, width, window_boxes(height, width)).all()


@pytest.mark.parametrize(("size", "step"), [(0, 0.1), (1.1, 0.1), (0.5, 0), (0.5, 0.6), (-0.5, 0.1)])
def test_impossible_geometry_is_refused(size, step):
    with pytest.raises(ValueError, match="step"):
        window_boxes(40, 50, size=size, step=step)


def test_fault_7_last_tenth_is_covered_by_ours_and_not_by_the_released_windows():
    released = covered(100, 200, released_window_boxes(100, 200))
    assert not released[90:].any()
    assert not released[:, 180:].any()
    assert covered(100, 200, window_boxes(100, 200)).all()
    ours = {tuple(box) for box in window_boxes(100, 200).tolist()}
    assert {tuple(box) for box in released_window_boxes(100, 200).tolist()} < ours


@few
@given(st.integers(2, 40), st.integers(2, 40), st.data())
def test_a_crop_is_that_part_of_the_image_and_a_view(height, width, data):
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    h, w = data.draw(st.integers(1, height - y)), data.draw(st.integers(1, width - x))
    box = torch.tensor([y, x, h, w])
    image, patch = torch.rand(3, height, width), torch.rand(3, h, w)
    assert torch.equal(crop(image, box), image[:, y : y + h, x : x + w])
    pasted = image.clone()
    crop(pasted, box)[...] = patch
    assert torch.equal(crop(pasted, box), patch)
    outside = ~torch.from_numpy(covered(height, width, box[None]))
    assert torch.equal(pasted[:, outside], image[:, outside])


def random_case(seed, height=23, width=31, density=0.5):
    generator = torch.Generator().manual_seed(seed)
    attended, foreground = (torch.rand(2, height, width, generator=generator) < density).unbind(0)
    corners = torch.stack(
        [
            torch.randint(0, height, (40,), generator=generator),
            torch.randint(0, width, (40,), generator=generator),
        ],
        1,
    )
    room = torch.tensor([height, width]) - corners
    sizes = 1 + (torch.rand(40, 2, generator=generator) * room).long().minimum(room - 1)
    return attended, foreground, torch.cat([corners, sizes], 1)


@pytest.mark.parametrize("seed", range(3))
def test_box_sums_are_those_of_the_plain_loop(seed):
    mask, _, boxes = random_case(seed)
    expected = [
        sum(bool(mask[i, j]) for i in range(y, y + h) for j in range(x, x + w)) for y, x, h, w in boxes
    ]
    assert box_sums(mask, boxes).tolist() == expected


@pytest.mark.parametrize(("seed", "density"), [(0, 0.5), (1, 0.9), (2, 0.02), (3, 0.0), (4, 1.0)])
def test_slice_iou_is_that_of_the_plain_loop(seed, density):
    attended, foreground, boxes = random_case(seed, density=density)
    expected = torch.tensor([iou(attended, foreground, box) for box in boxes.tolist()], dtype=torch.float64)
    assert torch.equal(slice_iou(attended, foreground, boxes), expected)


def test_an_empty_window_has_iou_0_and_is_not_weak():
    attended = torch.zeros(10, 10, dtype=torch.bool)
    foreground = attended.clone()
    foreground[7:, 7:] = attended[8:, 7:] = True
    iou = slice_iou(attended, foreground, torch.tensor([[0, 0, 5, 5], [5, 5, 5, 5]]))
    assert iou.tolist() == [0.0, 6 / 9]
    assert weak_slices(iou).tolist() == [1]


def test_both_bounds_of_weakness_are_strict():
    iou = torch.tensor([0.0, 1e-12, 0.5, 0.95 - 1e-12, 0.95, 1.0], dtype=torch.float64)
    assert weak_slices(iou).tolist() == [1, 2, 3]
    assert weak_slices(iou, 0.5).tolist() == [1]
    assert weak_slices(iou, 1.0).tolist() == [1, 2, 3, 4]
    assert weak_slices(torch.zeros(4)).tolist() == []


@few
@given(st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.2, 0.6, 0.96, 1.0]), max_size=36), st.integers(0, 12))
def test_most_keeps_the_weakest_and_the_first_among_equals(values, most):
    iou = torch.tensor(values, dtype=torch.float64)
    weak = [k for k, value in enumerate(values) if 0 < value < 0.95]
    expected = sorted(sorted(weak, key=lambda k: (values[k], k))[:most])
    found = weak_slices(iou, most=most)
    assert found.dtype == torch.int64
    assert found.tolist() == expected
    assert weak_slices(iou).tolist() == weak
