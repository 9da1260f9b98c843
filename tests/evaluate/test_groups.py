"""Groups of pixels and counts over them, each against a loop over the pixels."""

import cv2
import numpy as np
import pytest

from rws.data.classes import CAMVID, VOC2012, ClassSet
from rws.evaluate.groups import (
    boundary_overlaps,
    confusion_of,
    group_masks,
    near_boundary,
    overlaps_of,
    size_masks,
)


def a_label(seed: int = 3) -> np.ndarray:
    label = np.random.default_rng(seed).integers(0, 3, (6, 8)).astype(np.uint8).repeat(3, 0).repeat(3, 1)
    label[4:7, 2:9] = 255
    return label


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_boundaries_against_a_loop(pixels):
    label = a_label()
    label[:, 12:] = label[:, 12:13]  # wide regions, so that there is an interior
    found = near_boundary(label, 255, pixels)
    for r, c in np.ndindex(label.shape):
        around = label[max(0, r - pixels) : r + pixels + 1, max(0, c - pixels) : c + pixels + 1]
        others = set(around.ravel().tolist()) - {255, int(label[r, c])}
        assert found[r, c] == (label[r, c] != 255 and bool(others))


def test_groups_divide_the_labelled_pixels():
    label = np.zeros((100, 100), np.uint8)
    label[5:14, 5:14] = 1  # 0.81 %
    label[30:50, 30:70] = 2  # 8 %
    label[90:] = 255
    cv2.circle(label, (90, 60), 3, 3, -1)
    masks = group_masks(label, 255)
    assert set(np.unique(label[masks["small"]])) == {1, 3}
    assert set(np.unique(label[masks["medium"]])) == {2}
    assert set(np.unique(label[masks["large"]])) == {0}
    assert (masks["small"] ^ masks["medium"] ^ masks["large"] == (label != 255)).all()
    assert (masks["boundary"] ^ masks["interior"] == (label != 255)).all()
    assert (masks["all"] == (label != 255)).all()
    sizes = size_masks(label, 255)
    assert all((sizes[name] == masks[name]).all() for name in ("small", "medium", "large"))


def test_overlaps_against_a_loop():
    generator = np.random.default_rng(0)
    predicted = generator.integers(0, 3, (7, 9)).astype(np.uint8)
    label = generator.choice([0, 1, 2, 255], (7, 9)).astype(np.uint8)
    both, either = [0, 0, 0], [0, 0, 0]
    for p, t in zip(predicted.flat, label.flat):
        for c in range(3):
            both[c] += p == t == c
            either[c] += t != 255 and c in (p, t)
    assert overlaps_of(confusion_of(predicted, label, label != 255, 3)).tolist() == [both, either]


# Boundary IoU.


THREE = ClassSet(("a", "b", "c"), ((0, 0, 0), (1, 0, 0), (2, 0, 0)), background=0)


def papers_boundary(mask: np.ndarray, pixels: int) -> np.ndarray:
    """The mask without what is left of it after as many erosions by 3 x 3 of the mask in a frame of zeros."""
    framed = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    eroded = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=pixels)[1:-1, 1:-1]
    return mask & (eroded == 0)


@pytest.mark.parametrize(("side", "ratio"), [(40, 0.02), (60, 0.05), (9, 0.3)])
def test_boundaries_of_whole_labels_are_those_of_the_paper(side, ratio):
    generator = np.random.default_rng(side)
    small = generator.integers(0, 3, (2, 4, 5)).astype(np.uint8)
    label, predicted = (cv2.resize(s, (side + 11, side), interpolation=cv2.INTER_NEAREST) for s in small)
    pixels = max(1, round(ratio * np.hypot(side, side + 11)))
    found = boundary_overlaps(predicted, label, THREE, ratio)
    for c in range(3):
        t, p = (papers_boundary(m == c, pixels) for m in (label, predicted))
        assert found[:, c].tolist() == [(t & p).sum(), (t | p).sum()]


def test_boundaries_beside_ignored_pixels_against_a_loop():
    label, predicted = a_label(), a_label(seed=5)
    label[15:, 10:13] = 255
    pixels, size = 2, label.shape
    expected = np.zeros((2, 3), int)

    def at_boundary(m, r, c):
        """Another class within reach, or the image's edge."""
        if min(r, c, size[0] - 1 - r, size[1] - 1 - c) < pixels:
            return True
        around = [
            (y, x) for y in range(r - pixels, r + pixels + 1) for x in range(c - pixels, c + pixels + 1)
        ]
        return any(label[spot] != 255 and m[spot] != m[r, c] for spot in around)

    for r, c in np.ndindex(*size):
        if label[r, c] == 255:
            continue
        for k in range(3):
            sides = [m[r, c] == k and at_boundary(m, r, c) for m in (label, predicted)]
            expected[:, k] += all(sides), any(sides)
    assert boundary_overlaps(predicted, label, THREE, pixels / np.hypot(*size)).tolist() == expected.tolist()


def test_a_right_prediction_has_the_boundaries_of_its_label_also_where_that_is_ignored():
    label = a_label()
    predicted = np.where(label == 255, 2, label).astype(np.uint8)
    both, either = boundary_overlaps(predicted, label, THREE)
    assert both.tolist() == either.tolist()
    assert both.sum() > 100


@pytest.mark.parametrize("classes", [CAMVID, VOC2012])
def test_a_boundary_counts_each_class_of_a_set(classes):
    label = np.arange(classes.num_classes, dtype=np.uint8).repeat(9).reshape(-1, 9).repeat(9, 0)
    both, either = boundary_overlaps(label, label, classes)
    assert both.tolist() == either.tolist()
    assert (both > 0).all()
