"""Crops that are laid over a box: property tests of where they lie, and of what moves with them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision import tv_tensors

from rws.core.fusion import identity_coordinates
from rws.data.boxes import Aim, AimedCrop, as_target
from rws.data.transforms import CoordinateMap, Geometry, Normalisation, train_transform

BOX = (10, 30, 20, 25)


def cut(size, crop, box, seed):
    """The rows and columns of the image that are in a crop, -1 for padding; shape (2, h, w)."""
    height, width = size
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = tv_tensors.Image(torch.stack([y, x]).float())
    torch.manual_seed(seed)
    transform = AimedCrop(crop, pad_if_needed=True, fill=-1)
    return transform(image, as_target(box, image))[0] if box else transform(image)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_crop_holds_the_box_or_lies_inside_it_as_far_as_the_image_allows(data):
    side = st.integers(1, 40)
    for axis, (length, crop) in enumerate([(data.draw(side), data.draw(side)) for _ in range(2)]):
        h = data.draw(st.integers(1, length))
        start = data.draw(st.integers(0, length - h))
        size, crops, box = (
            ([length, 7], [crop, 3], (start, 0, h, 7))
            if axis == 0
            else ([7, length], [3, crop], (0, start, 7, h))
        )
        places = cut(size, crops, box, data.draw(st.integers(0, 9)))[axis].unique()
        seen = set(places[places >= 0].int().tolist())
        wanted = set(range(start, start + h))
        if crop >= length:
            assert seen == set(range(length))
        elif crop >= h:
            assert wanted <= seen
        else:
            assert seen <= wanted


def test_without_a_box_it_is_the_crop_of_torchvision():
    from torchvision.transforms import v2

    image = tv_tensors.Image(torch.arange(900.0).reshape(1, 30, 30))
    for seed in range(5):
        torch.manual_seed(seed)
        expected = v2.RandomCrop(12)(image)
        torch.manual_seed(seed)
        assert torch.equal(AimedCrop(12)(image), expected)


def test_all_places_over_the_box_occur():
    tops = {int(cut((60, 60), (30, 30), BOX, seed)[0, 0, 0]) for seed in range(300)}
    assert tops == set(range(0, 11))  # the crop of 30 rows holds rows 10 to 29 from 0 on, and up to 10


@pytest.mark.parametrize("seed", range(6))
def test_flip_and_scale_move_the_box_with_the_image(seed):
    """What a crop of half the image's size shows after scaling and flipping meets the box."""
    image = tv_tensors.Image(torch.zeros(3, 80, 100, dtype=torch.uint8))
    label = torch.zeros(80, 100, dtype=torch.uint8)
    y, x, h, w = BOX
    label[y : y + h, x : x + w] = 1
    transform = train_transform(
        Geometry(80, (40, 50), (1.0, 1.0)), Normalisation((0.5,) * 3, (0.5,) * 3), ignore_index=255
    )
    torch.manual_seed(seed)
    where = CoordinateMap(identity_coordinates(80, 100))
    _, cropped, moved, _ = transform(image, tv_tensors.Mask(label), where, as_target(BOX, image))
    assert int((cropped == 1).sum()) == h * w  # all of it
    rows = ((moved[1][cropped == 1] + 1) * 40 - 0.5).round()
    assert (int(rows.min()), int(rows.max())) == (y, y + h - 1)


def test_a_share_of_the_images_with_boxes_is_aimed_at_each_of_them():
    aim = Aim({"a": [(0, 0, 1, 1), (2, 2, 1, 1)]}, 0.25)
    found = [aim("a", seed) for seed in range(4000)]
    assert [aim("a", seed) for seed in range(50)] == found[:50]
    assert sum(box is not None for box in found) / 4000 == pytest.approx(0.25, abs=0.03)
    assert set(found) == {None, (0, 0, 1, 1), (2, 2, 1, 1)}
    assert aim("b", 0) is None
    assert all(Aim(aim.boxes_yxhw, 1.0)("a", seed) for seed in range(50))
    assert not any(Aim(aim.boxes_yxhw, 0.0)("a", seed) for seed in range(50))
