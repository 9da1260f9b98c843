"""Inputs and outputs of the authors' released functions: RWS_GOLDEN=DIR pytest tests/whole/test_golden.py."""

import json

import numpy as np
import torch
from golden import golden

from benchmarks.selecting_loop import released_window_boxes
from rws.core.advantage import advantage, select
from rws.core.slices import slice_iou, weak_slices


def numbered(arrays, first_key):
    """0, 1, ... for as many cases as the file holds."""
    cases = [i for i in range(len(arrays.files)) if f"{first_key}{i}" in arrays.files]
    assert cases, f"no {first_key}0 among {arrays.files}"
    return cases


def test_windows_are_the_released_ones():
    entries = json.loads(golden("slice_windows.json").read_text())
    assert entries
    for entry in entries:
        assert released_window_boxes(entry["height"], entry["width"]).tolist() == entry["windows"]


def test_iou_and_weak_slices_are_the_released_ones():
    with np.load(golden("weak_slices.npz")) as arrays:
        for i in numbered(arrays, "label"):
            label, cam = torch.from_numpy(arrays[f"label{i}"]), torch.from_numpy(arrays[f"cam{i}"])
            iou = slice_iou(cam > 0, label > 0, released_window_boxes(*label.shape))
            np.testing.assert_allclose(iou, arrays[f"iou{i}"], rtol=0, atol=1e-12)
            assert weak_slices(iou).tolist() == arrays[f"weak{i}"].tolist()


def test_advantaged_positions_shares_and_order_are_the_released_ones():
    with np.load(golden("advantage.npz")) as arrays:
        for i in numbered(arrays, "A"):
            A, a = (torch.from_numpy(arrays[f"{kind}{i}"]).double() for kind in "Aa")
            advantaged, n, ratio = advantage(A, A.amax(0), a, a.amax(0))
            there = advantaged.numpy()
            expected = arrays[f"n{i}"]
            # Eq. 9 gives 0 at an advantaged position the whole image does not attend to at all; the order,
            # a / a_max, is above 0 at every advantaged position.
            np.testing.assert_array_equal(there, arrays[f"order{i}"] > 0)
            np.testing.assert_allclose(n.numpy()[there], expected[there], rtol=0, atol=1e-6)
            np.testing.assert_allclose(ratio.numpy()[there], arrays[f"order{i}"][there], rtol=0, atol=1e-6)
            assert (expected[~there] == 0).all()
            assert (n.numpy()[~there] == 1).all()


def test_selection_with_one_slice_over_the_whole_image_is_the_released_one():
    with np.load(golden("advantage.npz")) as arrays:
        for i in numbered(arrays, "A"):
            A, a = torch.from_numpy(arrays[f"A{i}"]), torch.from_numpy(arrays[f"a{i}"])
            order = arrays[f"order{i}"]
            box = torch.tensor([[0, 0, *A.shape[-2:]]])
            for stage in range(len(A)):
                found = select(A, a[None], box, stage, tuple(A.shape[-2:]))
                there = order[stage] > 0
                np.testing.assert_array_equal(found.winner.numpy() == 0, there)
                np.testing.assert_allclose(
                    found.n.numpy(), np.where(there, arrays[f"n{i}"][stage], 1), rtol=0, atol=1e-6
                )
                np.testing.assert_allclose(found.ratio.numpy()[there], order[stage][there], atol=1e-6)
