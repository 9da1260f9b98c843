"""Region similarity and contour accuracy, against loops over pixels and against another evaluator."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rws.predict.video.j_and_f import TOLERANCE, boundary, contour_accuracy, region_similarity, statistics

SHAPE = (7, 9)
masks = arrays(bool, SHAPE)


def pixels(mask) -> set[tuple[int, int]]:
    return {(y, x) for y, x in product(*map(range, mask.shape)) if mask[y, x]}


def boundary_by_loop(mask) -> set[tuple[int, int]]:
    height, width = mask.shape
    found = set()
    for y, x in product(range(height), range(width)):
        neighbours = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
        inside = [(b, a) for b, a in neighbours if b < height and a < width]
        if any(mask[b, a] != mask[y, x] for b, a in inside):
            found.add((y, x))
    return found


def f_by_loop(mask, truth, radius) -> float:
    own, true = boundary_by_loop(mask), boundary_by_loop(truth)
    if not own and not true:
        return 1.0

    def found(these, among):
        near = [any((y - b) ** 2 + (x - a) ** 2 <= radius**2 for b, a in among) for y, x in these]
        return sum(near) / len(near) if near else 1.0

    precision, recall = found(own, true), found(true, own)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@given(masks, masks)
def test_region_similarity_is_intersection_over_union(mask, truth):
    union = pixels(mask) | pixels(truth)
    want = len(pixels(mask) & pixels(truth)) / len(union) if union else 1
    assert region_similarity(mask, truth) == pytest.approx(want)


@given(masks)
def test_boundary_is_that_of_the_loop(mask):
    assert pixels(boundary(mask)) == boundary_by_loop(mask)


@given(masks, masks)
def test_contour_accuracy_is_that_of_the_loop(mask, truth):
    radius = math.ceil(TOLERANCE * math.hypot(*SHAPE))
    assert radius == 1
    assert contour_accuracy(mask, truth) == pytest.approx(f_by_loop(mask, truth, radius))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_contour_accuracy_with_a_wide_disk(seed):
    """300 x 20 pixels: a tolerance of three."""
    rng = np.random.default_rng(seed)
    mask, truth = np.zeros((300, 20), bool), np.zeros((300, 20), bool)
    for drawn in (mask, truth):
        top, left = rng.integers(0, 200), rng.integers(0, 10)
        drawn[top : top + rng.integers(1, 60), left : left + rng.integers(1, 10)] = True
    truth[:] = np.roll(mask, rng.integers(0, 5), axis=0) if seed % 2 else truth
    assert contour_accuracy(mask, truth) == pytest.approx(f_by_loop(mask, truth, 3))


@given(masks, masks, masks)
def test_void_counts_for_neither(mask, truth, void):
    assert region_similarity(mask, truth, void) == region_similarity(mask & ~void, truth & ~void)
    assert contour_accuracy(mask, truth, void) == contour_accuracy(mask & ~void, truth & ~void)


def test_empty_masks():
    nothing, square = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    square[2:5, 3:6] = True
    for measure in (region_similarity, contour_accuracy):
        assert measure(nothing, nothing) == 1
        assert measure(square, square) == 1
        assert measure(nothing, square) == 0
        assert measure(square, nothing) == 0
    assert contour_accuracy(~nothing, nothing) == 1, "a mask of everything has no boundary either"
    assert region_similarity(~nothing, nothing) == 0


def test_statistics_by_hand():
    """Nine frames: quarters end at 0, 2, 4, 6, 8, and neighbours share these."""
    found = statistics([0.9, 0.8, 0.7, 0.6, 0.5, 0.5, 0.4, 0.2, 0.0])
    assert found.mean == pytest.approx(4.6 / 9)
    assert found.recall == pytest.approx(4 / 9), "0.5 itself is not above 0.5"
    assert found.decay == pytest.approx(0.8 - 0.2)


def test_quarters_round_halves_up_and_more_than_255_frames_count():
    assert statistics([1.0, 0.0, 0.0]).decay == 0.5, (
        "quarters end at 0, 0.5, 1, 1.5, 2: frames 0 and 1, and 2"
    )
    long = statistics(np.r_[np.ones(300), np.zeros(100)])
    assert long.decay == pytest.approx(1 - 1 / 101), "the last quarter begins with the last 1"


def test_against_another_evaluator():
    peer = pytest.importorskip("vos_benchmark.evaluator", reason="pip install vos-benchmark scikit-image")
    rng = np.random.default_rng(0)
    evaluator, ours = peer.Evaluator(), []
    for _ in range(20):
        yx = np.indices((120, 214))
        discs = [np.hypot(yx[0] - cy, yx[1] - cx) < r for cy, cx, r in rng.uniform(20, 90, (6, 3))]
        mask, truth = discs[0] | discs[1] | discs[2], discs[1] | discs[2] | discs[3]
        ours.append((region_similarity(mask, truth), contour_accuracy(mask, truth)))
        evaluator.feed_frame(mask.astype(np.uint8), truth.astype(np.uint8))
    assert [j for j, _ in ours] == pytest.approx(evaluator.object_iou[1])
    assert [f for _, f in ours] == pytest.approx(evaluator.boundary_f[1])
