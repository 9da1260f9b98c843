"""Outlines and run lengths as pixels, beside matplotlib's and pycocotools'."""

import numpy as np
import pytest
from exports import compressed
from matplotlib.path import Path

from rws.data.import_.shapes import (
    Patch,
    Unread,
    box_ring,
    decompress,
    ellipse_ring,
    fill,
    fill_each,
    from_runs,
)
from rws.predict.annotations import runs

SIZE = 40, 50


def on_canvas(patch: Patch, size=SIZE) -> np.ndarray:
    canvas = np.zeros(size, bool)
    view, mask = patch.within(canvas)
    view |= mask
    return canvas


def centres(size=SIZE) -> np.ndarray:
    rows, columns = np.indices(size)
    return np.stack([columns.ravel(), rows.ravel()], 1) + 0.5


@pytest.mark.parametrize("seed", range(20))
def test_a_triangle_holds_the_pixels_whose_centres_lie_within(seed):
    ring = np.random.default_rng(seed).uniform(-20, 70, (3, 2))
    expected = Path(ring).contains_points(centres()).reshape(SIZE)
    assert np.array_equal(on_canvas(fill([ring], SIZE)), expected)


@pytest.mark.parametrize("seed", range(20))
def test_an_outline_that_crosses_itself_holds_what_it_goes_around_an_odd_number_of_times(seed):
    ring = np.random.default_rng(seed).uniform(-20, 70, (7, 2))
    odd = np.zeros(SIZE, bool)
    for k in range(1, 6):  # the triangles of a fan
        odd ^= Path(ring[[0, k, k + 1]]).contains_points(centres()).reshape(SIZE)
    assert np.array_equal(on_canvas(fill([ring], SIZE)), odd)


def test_neighbours_share_their_edge_without_gap_or_overlap():
    rng = np.random.default_rng(0)
    corner, middle = np.array([(0, 0), (50, 0), (50, 40), (0, 40)], float), rng.uniform(10, 30, 2)
    times = sum(on_canvas(fill([np.array([middle, corner[k - 1], corner[k]])], SIZE)) for k in range(4))
    assert np.array_equal(times, np.ones(SIZE, int))


def test_a_ring_in_a_ring_is_a_hole_and_parts_are_joined():
    outer, inner = box_ring(5, 5, 25, 25), box_ring(10, 10, 20, 20)
    assert fill([outer, inner], SIZE).mask.sum() == 400 - 100
    assert fill_each([outer, inner], SIZE).mask.sum() == 400


def test_turned_boxes_and_ellipses():
    assert np.array_equal(
        on_canvas(fill([box_ring(10, 15, 30, 25, 90)], SIZE)),
        on_canvas(fill([box_ring(15, 10, 25, 30)], SIZE)),
    )
    x, y = (centres() - (25, 20)).T
    assert np.array_equal(
        on_canvas(fill([ellipse_ring(25, 20, 15, 8)], SIZE)),
        ((x / 15) ** 2 + (y / 8) ** 2 < 1).reshape(SIZE),
    )
    # Clockwise as one sees it: from the right end towards the lower one.
    turned = on_canvas(fill([ellipse_ring(25, 20, 15, 4, 30)], SIZE))
    assert turned[26, 35]
    assert not turned[14, 35]


@pytest.mark.parametrize("seed", range(10))
def test_pycocotools_agrees_within_a_pixel_of_the_edge(seed):
    coco = pytest.importorskip("pycocotools.mask")
    ring = np.random.default_rng(seed).uniform(0, 40, (6, 2))
    ours = on_canvas(fill([ring], SIZE))
    theirs = coco.decode(coco.merge(coco.frPyObjects([ring.ravel().tolist()], *SIZE))).astype(bool)
    far = np.abs(np.asarray([edge_distance(ring, point) for point in centres()])).reshape(SIZE) > 1
    assert np.array_equal(ours[far], theirs[far])


def edge_distance(ring: np.ndarray, point: np.ndarray) -> float:
    start, along = ring, np.roll(ring, -1, 0) - ring
    share = np.clip(((point - start) * along).sum(1) / (along**2).sum(1), 0, 1)
    return np.hypot(*(start + share[:, None] * along - point).T).min()


@pytest.mark.parametrize("seed", range(10))
def test_run_lengths_there_and_back(seed):
    rng = np.random.default_rng(seed)
    mask = rng.random(SIZE) < rng.uniform(0, 1)
    lengths = runs(mask)
    assert np.array_equal(from_runs(lengths, SIZE, by_columns=True), mask)
    assert np.array_equal(from_runs(runs(mask.T), SIZE, by_columns=False), mask)
    assert decompress(compressed(lengths)) == lengths


@pytest.mark.parametrize("mask", [np.zeros(SIZE, bool), np.ones(SIZE, bool), np.eye(*SIZE, dtype=bool)])
def test_pycocotools_reads_and_writes_the_same_run_lengths(mask):
    coco = pytest.importorskip("pycocotools.mask")
    theirs = coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert decompress(theirs) == runs(mask)
    assert np.array_equal(
        coco.decode(coco.frPyObjects({"size": list(SIZE), "counts": runs(mask)}, *SIZE)), mask
    )


def test_an_outline_that_would_take_hours_is_refused():
    zigzag = np.tile([(0.0, 0.0), (3.0, 4000.0)], (10_000, 1))
    with pytest.raises(Unread, match="crosses the image too often"):
        fill([zigzag], (4000, 4000))
