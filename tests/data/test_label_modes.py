"""Labels as tools write them: numbers are read where they can be nothing else, else the advice is right."""

import cv2
import numpy as np
import pytest
from own_set import H, W, image_of, label_of, own_set, rewrite
from PIL import Image

from rws.data import Reading, open_split
from rws.data.check import check_split
from rws.data.label_files import read_label
from rws.errors import UserError

FULL = np.full((H, W), 255, np.uint8)
ZERO = np.zeros((H, W), np.uint8)
COLOURS = np.array([(0, 0, 0), (250, 50, 83), (51, 221, 255)], np.uint8)
COLOURED = "background, 0, 0, 0\nbox, 250, 50, 83\ndisc, 51, 221, 255\n"


def paletted(label, colours):
    image = Image.fromarray(label, "P")
    image.putpalette(np.asarray(colours, np.uint8).ravel().tolist())
    return image


READ = {
    "16 bits": lambda a: Image.fromarray(a.astype(np.uint16)),
    "32 bits": lambda a: Image.fromarray(a.astype(np.int32)),
    "floats": lambda a: Image.fromarray(a.astype(np.float32)),
    "grey with alpha": lambda a: Image.fromarray(np.dstack([a, FULL]), "LA"),
    "grey with alpha, nothing hidden": lambda a: Image.fromarray(np.dstack([a, FULL * (a > 0)]), "LA"),
    "RGB, all alike": lambda a: Image.fromarray(np.dstack([a, a, a])),
    "RGB, red alone": lambda a: Image.fromarray(np.dstack([a, ZERO, ZERO])),
    "RGBA, all alike": lambda a: Image.fromarray(np.dstack([a, a, a, FULL])),
    "a palette": lambda a: paletted(a, COLOURS),
    "RGB, background alone": lambda a: Image.fromarray(np.dstack([0 * a] * 3)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_numbers_that_can_be_nothing_else_are_read(tmp_path, name):
    label = 0 * label_of(3) if name == "RGB, background alone" else label_of(3)
    ending = ".tif" if name in ("32 bits", "floats") else ".png"
    READ[name](label).save(tmp_path / f"a{ending}")
    assert np.array_equal(read_label(tmp_path / f"a{ending}", palette=map(tuple, COLOURS.tolist())), label)


def test_a_transparent_background_of_a_palette_is_its_number(tmp_path):
    paletted(label_of(3), COLOURS).save(tmp_path / "a.png", transparency=0)
    assert np.array_equal(read_label(tmp_path / "a.png"), label_of(3))


LABEL = label_of(3)
COLOURED_LABEL, INDICES = Image.fromarray(COLOURS[LABEL]), "labels must hold class indices, mode P or L"
# An image, what is said of it and the way out.
REFUSED = {
    "colours of classes": (COLOURED_LABEL, "label in colours", f"{INDICES}: map the colours"),
    "colours of none": (
        Image.fromarray(image_of(LABEL)),
        "label in colours",
        r"its colours, such as \(\d+, \d+, \d+\), are no class's: give the classes theirs",
    ),
    "a red class": (
        Image.fromarray(np.array([(0, 0, 0), (250, 50, 83)], np.uint8)[LABEL // 2]),
        "label in colours",
        "map the colours",
    ),
    "objects": (
        Image.fromarray(LABEL.astype(np.uint16) * 1000),
        "values that are no numbers from 0 to 255",
        "are these the numbers of objects",
    ),
    "negative": (Image.fromarray(LABEL.astype(np.int32) - 1), "no numbers from 0 to 255", "8 bits"),
    "fractions": (Image.fromarray(LABEL.astype(np.float32) / 2), "no numbers from 0 to 255", "8 bits"),
    "hidden numbers": (
        Image.fromarray(np.dstack([LABEL, 255 * (LABEL == 2)]).astype(np.uint8), "LA"),
        "transparent pixels",
        "save it without alpha",
    ),
    "half transparent": (
        Image.fromarray(np.dstack([LABEL, LABEL, LABEL, 100 + LABEL]), "RGBA"),
        "transparent pixels",
        "save it without alpha",
    ),
    "a photograph's mode": (COLOURED_LABEL.convert("CMYK"), "mode of photographs", INDICES),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_holds_no_clear_numbers_gets_its_own_advice(tmp_path, name):
    image, what, way_out = REFUSED[name]
    root = own_set(tmp_path / "set", COLOURED)
    ending = ".tif" if image.mode in ("I", "F", "CMYK") else ".png"
    rewrite(root, lambda k, path: image.save(path.with_suffix(ending)))
    with pytest.raises(UserError, match=rf"p0\{ending}: a .*{what}.*; .*{way_out}"):
        open_split("folder", root, "train").label("p0")
    with pytest.raises(UserError, match=rf"6 of 6 ids of train with a .*{what}: p0\{ending}.*; .*{way_out}"):
        check_split(open_split("folder", root, "train"), progress=False)


def test_the_advice_for_colours_helps(tmp_path):
    root = own_set(tmp_path / "set", COLOURED)
    rewrite(root, lambda k, path: Image.fromarray(COLOURS[label_of(k)]).save(path.with_suffix(".png")))
    split = open_split("folder", root, "train", reading=Reading(convert_rgb_labels=True))
    assert all(np.array_equal(split.label(f"p{k}"), label_of(k)) for k in range(6))


@pytest.mark.parametrize("ending", [".jpg", ".png"])
def test_jpeg_is_refused_under_any_name(tmp_path, ending):
    root = own_set(tmp_path / "set")
    rewrite(root, lambda k, path: Image.fromarray(label_of(k)).save(path.with_suffix(ending), "JPEG"))
    with pytest.raises(UserError, match=rf"a label in JPEG: p0\{ending} .*make these labels again as PNG"):
        check_split(open_split("folder", root, "train"), progress=False)


def test_other_formats_that_change_numbers_are_refused_under_any_name(tmp_path):
    label = Image.fromarray(LABEL).convert("RGB")
    label.save(tmp_path / "a.png", "WEBP", quality=60)
    with pytest.raises(UserError, match=r"a\.png: a label in WebP .*make these labels again as PNG"):
        read_label(tmp_path / "a.png")
    label.save(tmp_path / "b.tif", compression="jpeg")
    with pytest.raises(UserError, match=r"b\.tif: a label in JPEG .*make these labels again as PNG"):
        read_label(tmp_path / "b.tif")


def test_numbers_in_the_low_byte_of_colours_of_16_bits_are_not_lost(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([LABEL] * 3).astype(np.uint16))
    with pytest.raises(UserError, match=r"a\.png: a label of 16 bits a channel"):
        read_label(tmp_path / "a.png")


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif", ".tiff", ".gif", ".PNG", ".Tif"])
def test_a_folder_reads_labels_of_every_lossless_format(tmp_path, ending):
    root = own_set(tmp_path / "set")
    rewrite(root, lambda k, path: Image.fromarray(label_of(k)).save(path.with_suffix(ending)))
    split = open_split("folder", root, "train")
    assert all(np.array_equal(split.label(f"p{k}"), label_of(k)) for k in range(6))


# Labels that are each in order.


def check(root, **reading):
    return check_split(open_split("folder", root, "train", reading=Reading(**reading)), progress=False)


def two_classes(root, numbers):
    """A set of one class; `numbers` gives the object's number in each file."""
    own_set(root, "background\nthing\n")
    objects = [(label_of(k) > 0).astype(np.uint8) * numbers[k] for k in range(8)]
    return rewrite(root, lambda k, path: Image.fromarray(objects[k]).save(f"{path}.png"))


def test_0_and_255_beside_0_and_1_names_both_files(tmp_path):
    root = two_classes(tmp_path / "set", [255, 255, 1, 255, 255, 255, 1, 1])
    message = (
        r"hold 0 and 255 only in p0\.png, p1\.png, p3\.png, .*, but the class's number in p2\.png; 255 counts"
    )
    with pytest.raises(UserError, match=message):
        check(root)


def test_0_and_255_alone_is_refused_and_255_that_counts_nowhere_is_not(tmp_path):
    with pytest.raises(UserError, match="hold 0 and 255 only, and 255 counts nowhere"):
        check(two_classes(tmp_path / "all", [255] * 8))
    root = two_classes(tmp_path / "border", [1, 255, 1, 1, 1, 1, 1, 1])
    label = (label_of(0) > 0).astype(np.uint8)
    label[:, :2] = 255
    Image.fromarray(label).save(root / "masks/p0.png")
    assert check(root).ignored_pixels == (label_of(1) > 0).sum() + 2 * H


def test_in_a_set_of_more_classes_it_is_a_note(tmp_path):
    root = own_set(tmp_path / "set")
    Image.fromarray((label_of(0) > 0).astype(np.uint8) * 255).save(root / "masks/p0.png")
    (note,) = check(root).notes
    assert note.startswith("0 and 255 alone are in p0.png, numbers of classes without 255 in p1.png, p2.png")


def palettes(root, of, classes=COLOURED):
    return rewrite(own_set(root, classes), lambda k, path: paletted(label_of(k), of(k)).save(f"{path}.png"))


def test_a_palette_with_the_colours_of_other_classes_is_refused_or_read_by_its_colours(tmp_path):
    root = palettes(tmp_path / "set", lambda k: COLOURS[[0, 2, 1]])
    message = r"6 labels of train show numbers in the colours of other classes: p0\.png \(1 is shown in \(51,"
    with pytest.raises(UserError, match=message):
        check(root)
    split = open_split("folder", root, "train", reading=Reading(convert_rgb_labels=True))
    assert np.array_equal(split.label("p0"), np.array([0, 2, 1])[label_of(0)])
    assert check(root, convert_rgb_labels=True).pixels[1] == sum((label_of(k) == 2).sum() for k in range(6))


def test_palettes_that_contradict_each_other_are_refused(tmp_path):
    other = np.array([(9, 9, 9), (70, 0, 0), (0, 70, 0)])
    root = palettes(tmp_path / "set", lambda k: other[[0, 2, 1]] if k == 3 else other)
    with pytest.raises(
        UserError, match=r"\(0, 70, 0\) is 2 in p0\.png and 1 in p3\.png|\(70, 0, 0\) is 1 in p0"
    ):
        check(root)


def test_palettes_that_only_differ_are_told(tmp_path):
    grey = np.array([(0, 0, 0), (1, 1, 1), (2, 2, 2)])
    root = palettes(tmp_path / "set", lambda k: grey if k == 3 else COLOURS)
    (note,) = check(root).notes
    assert note == (
        "the palettes of labels differ: 1 is (250, 50, 83) in p0.png and (1, 1, 1) in p3.png; the numbers "
        "count, not the colours"
    )


def test_a_palette_that_tells_nothing_apart_is_no_doubt(tmp_path):
    black = np.zeros((256, 3), np.uint8)
    assert check(palettes(tmp_path / "set", lambda k: black)).notes == []


# Palettes of greys, and greys that are colours.

FIVE = range(5)


def greys(*levels):
    return [(level,) * 3 for level in levels]


@pytest.mark.parametrize(
    ("colours", "classes", "known"),
    [
        (greys(*range(256)), FIVE, ()),
        (greys(0, 128, 255), FIVE, ()),  # for people to see
        (greys(0, 255, 255), FIVE, ()),
        (greys(128, 64, 0), FIVE, greys(128, 64, 0)),  # the classes' own
        ([(255, 255, 255), (128, 0, 0), (0, 128, 0)], FIVE, ()),
    ],
)
def test_palettes_that_show_the_numbers(tmp_path, colours, classes, known):
    paletted(LABEL, colours).save(tmp_path / "a.png")
    assert np.array_equal(read_label(tmp_path / "a.png", None, known, classes), LABEL)


@pytest.mark.parametrize(
    ("colours", "classes", "detail"),
    [
        (greys(0, 2, 4), FIVE, "number 1 is grey 2"),
        (greys(0, 128, 255), range(150), "number 1 is grey 128"),
        (greys(255, 128, 0), FIVE, "number 0 is grey 255"),
        (greys(0, 255, 128), FIVE, "number 1 is grey 255"),
        (greys(1, 2, 3), (), "number 0 is grey 1"),
    ],
)
def test_palettes_of_greys_that_may_be_the_numbers_are_refused(tmp_path, colours, classes, detail):
    paletted(LABEL, colours).save(tmp_path / "a.png")
    with pytest.raises(
        UserError, match=rf"a\.png: a label with a palette of greys .*\({detail}\); save it as"
    ):
        read_label(tmp_path / "a.png", classes=classes)


def test_a_gif_of_grey_numbers_is_not_read_by_its_palette(tmp_path):
    """Without class 1 in it, GIF numbers 0 and 2 as 0 and 1."""
    root = own_set(tmp_path / "set")
    numbers = [label_of(k) * (label_of(k) != 1) if k == 2 else label_of(k) for k in range(8)]
    rewrite(root, lambda k, path: Image.fromarray(numbers[k]).save(path.with_suffix(".gif")))
    with pytest.raises(
        UserError, match=r"1 of 6 ids .*greys .*: p2\.gif \(number 1 is grey 2\); save it as PNG"
    ):
        check(root)
    Image.fromarray(FULL).save(tmp_path / "white.gif")
    with pytest.raises(UserError, match="number 0 is grey 255"):
        read_label(tmp_path / "white.gif", classes=FIVE)


def test_greys_that_are_colours_of_classes_are_read_as_these(tmp_path):
    classes = "background, 0, 0, 0\nbox, 128, 128, 128\ndisc, 255, 255, 255\n"
    levels = np.array([0, 128, 255], np.uint8)
    root = rewrite(
        own_set(tmp_path / "set", classes),
        lambda k, path: Image.fromarray(levels[label_of(k)]).save(f"{path}.png"),
    )
    with pytest.raises(UserError, match=r"p0\.png \(128\)"):
        check(root)
    split = open_split("folder", root, "train", reading=Reading(convert_rgb_labels=True))
    assert np.array_equal(split.label("p0"), label_of(0))
    Image.fromarray(levels[label_of(0)] * (label_of(0) == 2)).save(root / "masks/p0.png")
    assert np.array_equal(split.label("p0"), label_of(0) * (label_of(0) == 2)), "white counts nowhere else"
    Image.fromarray(label_of(0)).save(root / "masks/p0.png")
    assert np.array_equal(split.label("p0"), label_of(0)), "numbers stay"
