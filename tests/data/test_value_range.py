"""Images of more than 8 bits: one conversion for training and prediction, by a range that is told."""

import cv2
import numpy as np
import pytest
from own_set import IDS, label_of, own_set, rewrite
from PIL import Image

from rws.data import Reading, open_split
from rws.data.check import check_split
from rws.data.files import read_header
from rws.data.levels import Levels, to_8_bits
from rws.data.value_range import settle_levels
from rws.errors import UserError
from rws.predict.images import open_image


def grey_set(root, values, ending=".png", dtype=np.uint16):
    """A set whose images hold `values` for its classes; p5 has the last of them, the others the first two."""

    def write(k, path):
        label = label_of(k) if k == 5 else np.minimum(label_of(k), 1)
        Image.fromarray(np.array(values, dtype)[label]).save(path.with_suffix(ending))

    return rewrite(own_set(root), write, "images")


def settled(root, split="train", given=None):
    opened = open_split("folder", root, split)
    return settle_levels(opened, lambda: open_split("folder", root, "train"), given)


@pytest.mark.parametrize(
    ("values", "white"),
    [((0, 100, 4000), 4095), ((0, 7, 65535), 65535), ((3, 9, 200), 255), ((0, 1, 1000), 1023)],
)
@pytest.mark.parametrize(("ending", "dtype"), [(".png", np.uint16), (".tif", np.uint16), (".tif", np.int32)])
def test_the_range_is_that_of_the_fewest_bits(tmp_path, values, white, ending, dtype):
    root = grey_set(tmp_path / "set", values, ending, dtype)
    split = settled(root)
    assert split.reading.levels == Levels(0, white, given=False)
    expected = np.rint(np.array(values) / white * 255).astype(np.uint8)[label_of(5)]
    assert np.array_equal(np.asarray(split.image("p5")), np.dstack([expected] * 3))
    predicted = open_image(split.image_path("p5"), (0, white))
    assert np.array_equal(np.asarray(predicted), np.asarray(split.image("p5"))), "prediction sees the same"
    note = f"6 images have more than 8 bits; 0..{white} become black to white (found; --data.range)"
    assert check_split(split, progress=False).notes == [note]


def test_validation_has_the_range_of_the_training_images(tmp_path):
    root = grey_set(tmp_path / "set", (0, 100, 4000))
    assert settled(root, "val").reading.levels == Levels(0, 4095, given=False)


def test_a_given_range_cuts_off_what_lies_outside(tmp_path):
    root = grey_set(tmp_path / "set", (-1000, 0, 3000), ".tif", np.int32)
    with pytest.raises(
        UserError, match=r"-1000\.\.3000, and which are black and white is not known.*--data\.range"
    ):
        settled(root)
    split = settled(root, given=(-1000, 1000))
    assert np.unique(np.asarray(split.image("p5"))).tolist() == [0, 128, 255]
    assert check_split(split, progress=False).notes[0].endswith("(given; --data.range)")


def test_floats(tmp_path):
    root = grey_set(tmp_path / "set", (0, 0.5, 1), ".tif", np.float32)
    assert np.unique(np.asarray(settled(root).image("p5"))).tolist() == [0, 128, 255]
    Image.fromarray(np.full((24, 32), np.nan, np.float32)).save(root / "images/p0.tif")
    with pytest.raises(UserError, match=r"p0\.tif \(it holds values that are no finite numbers\)"):
        check_split(settled(root), progress=False)


def test_a_value_outside_what_was_found_is_refused_and_not_cut(tmp_path):
    root = grey_set(tmp_path / "set", (0, 100, 200))
    split = settled(root)
    assert split.reading.levels.high == 255
    Image.fromarray(np.full((24, 32), 300, np.uint16)).save(root / "images/p2.png")
    with pytest.raises(
        UserError, match=r"p2\.png .*values are 300\.\.300, the others have the range 0\.\.255"
    ):
        check_split(split, progress=False)


def test_a_deep_image_among_images_of_8_bits_that_nobody_looked_at(tmp_path):
    split = open_split("folder", own_set(tmp_path / "set"), "train")
    Image.fromarray(np.full((24, 32), 300, np.uint16)).save(tmp_path / "set/images/p2.png")
    with pytest.raises(UserError, match=r"p2\.png: .*the others have 8 bits\); give --data\.range"):
        split.image("p2")


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_colours_of_16_bits_keep_their_low_bits(tmp_path, ending):
    root = own_set(tmp_path / "set")
    colours = np.array([(0, 5, 10), (4000, 30, 0), (7, 8, 2000)], np.uint16)
    write = lambda k, path: cv2.imwrite(f"{path}{ending}", colours[label_of(k)][..., ::-1])  # noqa: E731
    split = settled(rewrite(root, write, "images"))
    assert read_header(split.image_path("p1")).deep
    assert split.reading.levels == Levels(0, 4095, given=False)
    expected = np.rint(colours / 4095 * 255)[label_of(1)]
    assert np.array_equal(np.asarray(split.image("p1")), expected)


def test_the_cache_does_not_mix_ranges(tmp_path):
    root = grey_set(tmp_path / "set", (0, 100, 4000))
    for high in (4000, 8000):
        reading = Reading(cache=tmp_path / "cache", levels=Levels(0, high))
        assert np.asarray(open_split("folder", root, "train", reading=reading).image("p5")).max() == (
            255 if high == 4000 else 128
        )


def test_big_endian_values(tmp_path):
    pixels = np.array([[0, 256, 4095]], ">u2")
    Image.frombytes("I;16B", (3, 1), pixels.tobytes()).save(tmp_path / "a.tif")
    assert np.asarray(open_image(tmp_path / "a.tif"))[0, :, 0].tolist() == [0, 16, 255]


def test_8_bits_are_never_scaled(tmp_path):
    split = open_split("folder", own_set(tmp_path / "set"), "train", reading=Reading(levels=Levels(0, 4095)))
    assert np.asarray(split.image(IDS[0])).max() == 250


def test_scaling_of_small_and_of_other_types_agrees():
    values = np.arange(0, 4096, 5)
    levels = Levels(10, 3000)
    small, other = (to_8_bits(values.astype(dtype), levels) for dtype in (np.uint16, np.int64))
    assert np.array_equal(small, other)
    assert (small[0], small[-1], to_8_bits(np.array([1505]), levels)[0]) == (0, 255, 128)
