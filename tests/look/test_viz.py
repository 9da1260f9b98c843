"""Pictures: exact where they hold data, plain properties where they are for the eye."""

import warnings

import numpy as np
import pytest
from PIL import Image

from rws.data.classes import CAMVID, DEMO, VOC2012
from rws.data.label_images import colour_label
from rws.look.names import plain_text
from rws.look.overlay import contours, overlay
from rws.look.viz import Planes, heat, samples_figure, stage_figure

STAGES = ("stage1", "stage2", "stage3", "stage4")


@pytest.fixture
def scene() -> tuple[Image.Image, np.ndarray]:
    """A grey image of 60 x 80 pixels: a square of class 1, a thin line of class 2 and an ignored corner."""
    label = np.zeros((60, 80), np.uint8)
    label[10:40, 10:40] = 1
    label[5:55, 60] = 2
    label[:4, :4] = 255
    return Image.new("RGB", (80, 60), (100, 100, 100)), label


@pytest.mark.parametrize("classes", [DEMO, VOC2012, CAMVID])
def test_indexed_png_round_trip(tmp_path, classes):
    label = np.array([[*range(classes.num_classes), 255]] * 3, np.int64)
    colour_label(label, classes).save(tmp_path / "label.png")
    with Image.open(tmp_path / "label.png") as back:
        assert back.mode == "P"
        assert np.array_equal(np.array(back), label)
        assert back.getpalette() == classes.flat_palette()
        assert np.asarray(back.convert("RGB"))[0, :-1].tolist() == [list(c) for c in classes.palette]


def test_overlay_tints_and_outlines(scene):
    image, label = scene
    pixels = np.asarray(overlay(image, label, DEMO, alpha=0.5))
    untouched = (label == 0) | (label == 255)
    assert (pixels[untouched] == 100).all()
    inside, edge = pixels[25, 25], pixels[10, 25]
    assert np.abs(inside - (np.array(DEMO.palette[1]) + 100) / 2).max() <= 0.5
    assert tuple(edge) == DEMO.palette[1]
    assert (pixels[5:55, 60] == DEMO.palette[2]).all(), "a thin part is shown in full colour"
    assert np.asarray(image).max() == 100, "the image itself stays as it was"


def test_overlay_of_nothing_is_the_image(scene):
    image, label = scene
    assert np.array_equal(np.asarray(overlay(image, np.zeros_like(label), DEMO)), np.asarray(image))


def test_letters_that_the_font_lacks_bring_no_warning(scene):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        samples_figure([("日本", *scene)], DEMO, "猫 of US$")
        with plain_text():
            pass
        with pytest.raises(UserWarning, match="another"):
            warnings.warn("another", UserWarning, stacklevel=1)


def test_contours_by_a_plain_loop():
    label = np.random.default_rng(0).integers(0, 3, (7, 9)).repeat(3, 0).repeat(3, 1)
    want = np.zeros(label.shape, bool)
    for y, x in np.ndindex(label.shape):
        cross = [label[max(0, y - 2) : y + 3, x], label[y, max(0, x - 2) : x + 3]]
        want[y, x] = any((arm != label[y, x]).any() for arm in cross)
    assert np.array_equal(contours(label, 2), want)


def test_heat_grows_lighter_with_the_value():
    shades = np.asarray(heat(np.linspace(0, 1, 32)[None]).convert("L"), int)[0]
    assert (np.diff(shades) >= 0).all()
    assert shades[-1] - shades[0] > 150


def test_heat_leaves_colour_only_where_asked(scene):
    image, label = scene
    pixels = np.asarray(heat(np.ones((60, 80)), image, where=label == 1)).astype(int)
    grey = pixels.max(-1) == pixels.min(-1)
    assert np.array_equal(~grey, label == 1)


def test_stage_figure_shows_every_plane(scene):
    image, label = scene
    rng = np.random.default_rng(1)
    maps = rng.random((4, 60, 80)) * np.isin(label, (1, 2))
    missing = maps.max(0) - maps
    figure = stage_figure(image, label, DEMO, Planes(STAGES, maps, missing), "a title")
    assert figure.mode == "RGB"
    assert figure.width == 1600
    assert 500 < figure.height < 1000
    changed = missing.copy()
    changed[3] = 0
    other = stage_figure(image, label, DEMO, Planes(STAGES, maps, changed), "a title")
    box = Image.fromarray((np.asarray(figure) != np.asarray(other)).any(-1)).getbbox()
    assert box is not None
    assert box[0] > 0.6 * figure.width, "the last stage is in the last column"
    assert box[1] > 0.4 * figure.height, "what is missing is in the lower row"


def test_stage_figure_without_foreground(scene):
    image, label = scene
    nothing = np.zeros((4, 60, 80))
    figure = stage_figure(image, np.zeros_like(label), DEMO, Planes(STAGES, nothing, nothing), "no pixel")
    assert figure.width == 1600


def test_stage_figure_of_many_stages_keeps_readable_panels(scene):
    image, label = scene
    maps = np.zeros((7, 60, 80))
    assert stage_figure(image, label, DEMO, Planes("abcdefg", maps, maps), "").width > 1600
