"""Missing weights by class and size, against a loop over the pixels."""

import numpy as np
import pytest

from rws.data.classes import ClassSet
from rws.data.object_sizes import SIZES, size_of
from rws.method.missing_weights import group_sums, mean_missing, tabulate

BACKGROUND = ClassSet(("background", "cow", "<dog>"), ((0, 0, 0), (9, 9, 9), (8, 8, 8)), background=0)
SCENE = ClassSet(("sky", "road", "car"), ((0, 0, 0), (9, 9, 9), (8, 8, 8)), background=None)


def region(label: np.ndarray, y: int, x: int) -> set[tuple[int, int]]:
    """The pixels that one walks to from a pixel, diagonally too, without leaving its label."""
    found, left = {(y, x)}, [(y, x)]
    while left:
        a, b = left.pop()
        for place in ((a + i, b + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
            inside = 0 <= place[0] < label.shape[0] and 0 <= place[1] < label.shape[1]
            if inside and place not in found and label[place] == label[y, x]:
                found.add(place)
                left.append(place)
    return found


def loop(missing: np.ndarray, label: np.ndarray, foreground: tuple[int, ...]) -> dict:
    """Pixels and values of each class and size, one by one."""
    groups: dict = {}
    for y, x in np.ndindex(*label.shape):
        if label[y, x] in foreground:
            share = len(region(label, y, x)) / label.size
            size = "small" if share < 0.01 else "large" if share > 0.10 else "medium"
            groups.setdefault((int(label[y, x]), size), []).append(missing[:, y, x])
    return groups


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Regions of all sizes of two classes, with a border that counts nowhere; and random missing weights."""
    rng = np.random.default_rng(seed)
    label = np.zeros((25, 32), np.int64)
    label[2:17, 3:13] = 1
    label[17, 13] = 1  # touches the large one by a corner
    label[4:8, 16:21] = 2
    label[rng.integers(10, 24, 5), rng.integers(18, 31, 5)] = rng.integers(1, 3, 5)
    label[2:17, 2] = 255
    return rng.random((3, 25, 32)).astype(np.float32), label


@pytest.mark.parametrize("classes", [BACKGROUND, SCENE])
def test_the_table_is_that_of_a_loop_over_pixels(classes):
    scenes = [scene(seed) for seed in range(3)]
    expected: dict = {}
    for missing, label in scenes:
        for key, values in loop(missing, label, classes.foreground).items():
            expected.setdefault(key, []).append(values)
    sums = [group_sums(missing, label, classes) for missing, label in scenes]
    table = tabulate(sums, ("a", "b", "c"), classes)
    assert table["images"] == 3
    found = {(classes.names.index(g["class"]), g["size"]): g for g in table["groups"]}
    assert found.keys() == expected.keys()
    assert {size for _, size in found} == set(SIZES)
    for key, images in expected.items():
        values = np.array([each for image in images for each in image])
        assert (found[key]["pixels"], found[key]["images"]) == (len(values), len(images))
        np.testing.assert_allclose(list(found[key]["missing"].values()), values.mean(0), rtol=1e-5)
    everything = np.array([each for images in expected.values() for image in images for each in image])
    for place, stage in enumerate("abc"):
        assert mean_missing(table["groups"], stage) == pytest.approx(everything[:, place].mean(), rel=1e-5)


def test_sizes_at_their_bounds():
    assert [SIZES[k] for k in size_of(np.array([0.0099, 0.01, 0.10, 0.1001]))] == [
        "small",
        "medium",
        "medium",
        "large",
    ]


def test_an_image_without_foreground_counts_as_an_image():
    empty = group_sums(np.zeros((3, 4, 4)), np.zeros((4, 4), np.int64), BACKGROUND)
    assert empty == {}
    assert tabulate([empty], ("a", "b", "c"), BACKGROUND) == {"images": 1, "groups": []}
    assert mean_missing([], "a") == 0
