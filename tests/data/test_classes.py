import dataclasses

import numpy as np
import pytest
from PIL import Image

from rws.data.classes import CAMVID, DEMO, VOC2012, ClassSet
from rws.errors import UserError

# Linear RGB as a viewer without red or green cones sees it (Viénot, Brettel and Mollon, 1999).
BLIND = {
    "protanopia": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deuteranopia": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def test_voc_classes_and_official_colours():
    assert VOC2012.num_classes == 21
    assert VOC2012.names[0] == "background"
    assert VOC2012.names[20] == "tvmonitor"
    assert VOC2012.names[15] == "person"
    # From the VOC devkit's colour table.
    official = {
        0: (0, 0, 0),
        1: (128, 0, 0),
        8: (64, 0, 0),
        12: (64, 0, 128),
        15: (192, 128, 128),
        20: (0, 64, 128),
    }
    assert {index: VOC2012.palette[index] for index in official} == official
    assert VOC2012.foreground == tuple(range(1, 21))


def test_camvid_has_no_background_and_demo_has_six_classes():
    assert CAMVID.names[:6] == ("sky", "building", "pole", "road", "pavement", "tree")
    assert CAMVID.names[6:] == ("sign", "fence", "car", "pedestrian", "bicyclist")
    assert CAMVID.background is None
    assert CAMVID.foreground == tuple(range(11))
    assert (DEMO.num_classes, DEMO.background, len(DEMO.foreground)) == (6, 0, 5)


@pytest.mark.parametrize(("name", "classes"), [("voc2012", VOC2012), ("camvid", CAMVID)])
def test_palettes_are_those_of_the_real_labels(real_set, name, classes):
    label = next((real_set(name) / "SegmentationClass").glob("*.png"))
    with Image.open(label) as image:
        assert (
            image.getpalette()[: 3 * classes.num_classes] == classes.flat_palette()[: 3 * classes.num_classes]
        )


def test_flat_palette_serves_pillow_and_shows_ignore():
    for classes in (VOC2012, CAMVID, DEMO, DEMO.binary("fish")):
        flat = classes.flat_palette()
        assert len(flat) == 768
        assert all(isinstance(level, int) and 0 <= level <= 255 for level in flat)
        assert tuple(flat[-3:]) == (224, 224, 192)
        assert tuple(flat[3:6]) == classes.palette[1]


def test_binary_keeps_the_colour_of_its_class():
    cat = VOC2012.binary("cat")
    assert cat.names == ("background", "cat")
    assert cat.palette == ((0, 0, 0), VOC2012.palette[8])
    assert (cat.background, cat.foreground, cat.ignore_index) == (0, (1,), 255)


@pytest.mark.parametrize(
    ("wrong", "near"), [("catt", "'cat'"), ("Sofa", "'sofa'"), ("areoplane", "'aeroplane'")]
)
def test_unknown_class_names_the_nearest_and_all(wrong, near):
    with pytest.raises(UserError, match=f"no class '{wrong}': did you mean {near}.*tvmonitor"):
        VOC2012.binary(wrong)


def test_background_is_no_category():
    with pytest.raises(UserError, match="no class 'background'"):
        VOC2012.binary("background")


def test_class_set_is_frozen_and_needs_a_colour_a_class():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VOC2012.background = 3
    with pytest.raises(UserError, match="2 class names but 1 colours"):
        ClassSet(("a", "b"), ((0, 0, 0),), 0)


@pytest.mark.parametrize("kind", BLIND)
def test_demo_colours_stay_apart_for_the_colour_blind(kind):
    linear = (np.array(DEMO.palette) / 255) ** 2.2
    seen = np.clip(linear @ np.array(BLIND[kind]).T, 0, 1) ** (1 / 2.2)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=2)
    assert distances[np.triu_indices(len(seen), 1)].min() > 0.15
