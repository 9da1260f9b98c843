"""Images that EXIF turns: shown upright in training and prediction, with their labels on them."""

import numpy as np
import pytest
from own_set import IDS, H, W, image_of, label_of, own_set, rewrite, save_with_orientation
from PIL import Image, ImageOps

from rws.data import Reading, open_split
from rws.data.check import check_split
from rws.data.files import read_header, read_image
from rws.errors import UserError
from rws.predict.images import open_image

SIDEWAYS = (5, 6, 7, 8)


def turned_set(root, orientation, size=(H, W), of="shown"):
    """A set whose images are turned, labels drawn on them as shown or as stored."""
    shown = {k: label_of(k, size) for k in range(8)}

    def image(k, path):
        save_with_orientation(path.with_suffix(".png"), image_of(shown[k], k), orientation)

    def label(k, path):
        save_with_orientation(path.with_suffix(".png"), shown[k], orientation)
        with Image.open(path.with_suffix(".png")) as stored:
            pixels = np.array(stored)
        Image.fromarray(shown[k] if of == "shown" else pixels).save(path.with_suffix(".png"))

    own_set(root)
    rewrite(root, image, "images")
    rewrite(root, label)
    return root, shown


def assert_upright(split, shown):
    for image_id in split.ids:
        label = shown[IDS.index(image_id)]
        assert np.array_equal(split.label(image_id), label)
        assert np.array_equal(np.asarray(split.image(image_id)), image_of(label, IDS.index(image_id)))
        assert split.size(image_id) == label.shape
        assert np.array_equal(np.asarray(open_image(split.image_path(image_id))), split.image(image_id))


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".tif"])
def test_every_orientation_is_that_of_pillow(tmp_path, orientation, ending):
    path = tmp_path / f"a{ending}"
    save_with_orientation(path, image_of(label_of(1)), orientation)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(np.asarray(read_image(path)), expected)
    assert read_header(path).size == expected.shape[:2] == (H, W)


@pytest.mark.parametrize("orientation", SIDEWAYS)
@pytest.mark.parametrize("of", ["shown", "stored"])
def test_the_size_says_what_a_label_was_drawn_on(tmp_path, orientation, of):
    root, shown = turned_set(tmp_path / "set", orientation, of=of)
    split = open_split("folder", root, "train")
    assert_upright(split, shown)
    said = check_split(split, progress=False).notes
    assert said == [
        f"6 images are turned by their EXIF orientation; their labels were drawn on them as {of} (6)"
    ]


@pytest.mark.parametrize(("orientation", "size"), [(3, (H, W)), (2, (H, W)), (4, (H, W)), (6, (H, H))])
@pytest.mark.parametrize("of", ["shown", "stored"])
def test_where_the_size_does_not_tell_the_option_does(tmp_path, orientation, size, of):
    root, shown = turned_set(tmp_path / "set", orientation, size, of)
    with pytest.raises(UserError, match=r"6 of 6 ids .*EXIF turns.*p0\.png .*say --data\.orientation shown"):
        check_split(open_split("folder", root, "train"), progress=False)
    with pytest.raises(UserError, match=r"p3\.png: .*EXIF turns.*--data\.orientation"):
        open_split("folder", root, "train").label("p3")
    assert_upright(open_split("folder", root, "train", reading=Reading(orientation=of)), shown)


def test_the_option_does_not_overrule_the_size(tmp_path):
    root, shown = turned_set(tmp_path / "set", 6)
    assert_upright(open_split("folder", root, "train", reading=Reading(orientation="stored")), shown)


def test_the_cache_keeps_what_is_shown(tmp_path):
    root, shown = turned_set(tmp_path / "set", 8, of="stored")
    split = open_split("folder", root, "train", reading=Reading(cache=tmp_path / "cache"))
    for _ in range(2):
        assert_upright(split, shown)


def test_labels_of_published_sets_are_of_the_files_pixels(tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    for part in ("images/training", "annotations/training"):
        (root / part).mkdir(parents=True)
    save_with_orientation(root / "images/training/a.jpg", image_of(label_of(1)), 3)
    Image.fromarray(label_of(1)[::-1, ::-1] + 1).save(root / "annotations/training/a.png")
    assert np.array_equal(open_split("ade20k", tmp_path, "train").label("a"), label_of(1))


def test_broken_exif_is_none(tmp_path):
    Image.fromarray(image_of(label_of(1))).save(tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    assert read_image(tmp_path / "a.jpg").size == (W, H)
