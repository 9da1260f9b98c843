"""Two teachers held against labels, by hand."""

import numpy as np
import pytest

from tools.taught_targets import Comparison


def target(classes: list[int], sure: list[int]) -> np.ndarray:
    planes = [classes, sure, [0] * len(classes), [0] * len(classes)]
    return np.array(planes, np.uint8)[:, None]


def test_where_two_teachers_differ_and_which_is_right():
    label = np.array([[0, 1, 1, 1, 255]], np.uint8)
    one = target([0, 0, 1, 0, 1], [255] * 5)
    other = target([0, 1, 0, 1, 0], [255, 240, 255, 102, 255])
    comparison = Comparison(2, 255)
    comparison.add(one, other, label)
    found = comparison.found()
    # Three of the four labelled pixels differ; the other is right in two of them, sure in one.
    assert found["differ"] == 75
    assert found["one_right"] == pytest.approx(100 / 3)
    assert found["other_right"] == pytest.approx(200 / 3)
    assert found["sure_where_mended"] == pytest.approx(100 * (240 + 102) / 255 / 2)
    assert found["mended_kept_if_sure"] == 50
    # One: class 0 is 1 of 3, class 1 is 1 of 3. Other: class 0 is 1 of 2, class 1 is 2 of 3.
    assert found["miou"] == pytest.approx([100 / 3, 100 * (1 / 2 + 2 / 3) / 2])
