"""Names on the regions of an overlay, and the strip below it."""

import numpy as np
import pytest
from PIL import Image

from rws.data.classes import CAMVID, VOC2012, ClassSet
from rws.data.sets.coco_stuff import CLASSES_164K as STUFF
from rws.look.named_regions import named_overlay, place_in, regions
from rws.look.overlay import overlay

BINARY = VOC2012.binary("cow")
SIZES = [(375, 500), (300, 1200), (1200, 300), (240, 320)]  # height, width


def scene(size: tuple[int, int], *values: int) -> tuple[Image.Image, np.ndarray]:
    """A white image and a label with a disc for each value, side by side on its longer side."""
    label = np.zeros(size, np.uint8)
    y, x = np.mgrid[: size[0], : size[1]]
    long = int(size[1] > size[0])
    for number, value in enumerate(values):
        middle = [side / 2 for side in size]
        middle[long] = (number + 0.5) * size[long] / len(values)
        radius = 0.45 * min(size[1 - long], size[long] / len(values))
        label[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < radius**2] = value
    return Image.new("RGB", size[::-1], (255, 255, 255)), label


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("classes", "values"), [(BINARY, (1,)), (CAMVID, (0, 1, 3, 5)), (STUFF, (0, 60, 127, 170))]
)
def test_every_region_has_its_name_inside_and_nothing_else_changes(size, classes, values):
    image, label = scene(size, *values)
    if classes is CAMVID:
        label[label == 0] = 255  # where there is no disc; sky is a class of its own
        label[:, : size[1] // 8] = 0
    plain = np.asarray(overlay(image, label, classes))
    named = np.asarray(named_overlay(image, label, classes))[: size[0]]
    written = (plain != named).any(-1)
    assert written.any()
    for index, region in regions(label, classes):
        mask = np.asarray(Image.fromarray(region).resize(size[::-1], Image.Resampling.NEAREST), bool)
        inside = written & mask
        assert {tuple(p) for p in named[inside].tolist()} >= {(0, 0, 0)}, "the outline of its letters"
        assert named[inside].max() > 240, f"white letters in {classes.names[index]}"
        written &= ~mask
    assert not written.any(), "no name reaches out of its region"


def test_a_name_lies_at_the_pole_of_a_region_of_any_form():
    region = np.zeros((200, 300), np.uint8)
    region[:, :40] = region[160:, :] = 1  # an L, in the corner of which most is inside
    place = place_in(region, (600, 400), 2.0)
    assert place.height == pytest.approx(2 * 40, abs=4), "as tall as the arms are wide"
    assert place.width == 2 * place.height
    assert place.y - place.height / 2 + 4 >= 320
    assert place.x - place.width / 2 + 4 >= 0
    assert place.x + place.width / 2 <= 604
    region[:, :120] = 1
    place = place_in(region, (600, 400), 1.0)
    assert (place.x, place.y, place.width) == pytest.approx((120, 200, 240), abs=90)
    assert place.x == pytest.approx(120, abs=4), "in the middle of the thick part"


def test_small_regions_are_not_named_but_are_in_the_strip():
    image, label = scene((200, 300), 1)
    label[:12, :12] = 2  # below 1 % of the image
    assert [index for index, _ in regions(label, VOC2012)] == [1]
    whole = np.asarray(named_overlay(image, label, VOC2012))
    strip = {tuple(pixel) for pixel in whole[200:].reshape(-1, 3).tolist()}
    assert {VOC2012.palette[1], VOC2012.palette[2]} <= strip
    assert VOC2012.palette[3] not in strip, "a class that is not in the picture"


def test_strip_is_there_for_two_classes_or_where_it_is_asked_for():
    image, one = scene((200, 300), 3)
    two = one.copy()
    two[:40, :40] = 4
    assert named_overlay(image, one, VOC2012).size == (300, 200)
    assert named_overlay(image, one, VOC2012, "strip").height > 200
    assert named_overlay(image, two, VOC2012).height > 200
    assert named_overlay(image, np.zeros_like(one), VOC2012).size == (300, 200)
    assert np.array_equal(named_overlay(image, two, VOC2012, "none"), overlay(image, two, VOC2012))


def test_a_name_that_has_no_room_at_all_is_left_out():
    long = ClassSet(
        ("background", "a name that is much longer than its region"), ((0, 0, 0), (0, 90, 200)), 0
    )
    image, label = scene((60, 60), 1)
    assert np.array_equal(named_overlay(image, label, long), overlay(image, label, long))
    assert named_overlay(image, label, long, "strip").width == 60


@pytest.mark.parametrize("size", [(1, 6000), (2, 4000), (6000, 4)])
def test_a_strip_of_few_pixels_is_drawn(size):
    image, label = Image.new("RGB", size[::-1]), np.ones(size, np.uint8)
    assert [(index, min(region.shape)) for index, region in regions(label, VOC2012)] == [(1, 1)]
    assert named_overlay(image, label, VOC2012).size == image.size


def test_a_strip_of_very_many_classes_says_how_many_it_leaves_out():
    label = np.repeat(np.arange(171, dtype=np.uint8)[None], 40, 0).repeat(2, 1)
    picture = named_overlay(Image.new("RGB", (342, 40)), label, STUFF)
    assert picture.height < 40 + 4 * 1.6 * 13 + 8, "three rows"
