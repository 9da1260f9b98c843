"""The colours of classes to which nobody gave any."""

import hashlib
import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from own_set import label_of, own_set, rewrite
from PIL import Image
from torch import nn

from rws.data import Reading, open_split
from rws.data.check import check_split
from rws.data.classes import CAMVID, DEMO, VOC2012, ClassSet, named_classes, voc_colour
from rws.data.label_images import file_label
from rws.data.palette import DISTINCT
from rws.data.sets import ade20k, cityscapes, coco_stuff, davis
from rws.errors import UserError
from rws.models import FAMILIES, build_network
from rws.runs.begun import begun_with
from rws.runs.model_file import Card, load_trained, save_trained

NAMES = "background\nbox\ndisc\n"
PUBLISHED = {
    "VOC": VOC2012,
    "CamVid": CAMVID,
    "demo": DEMO,
    "ADE20K": ade20k.CLASSES,
    "Cityscapes": cityscapes.CLASSES,
    "COCO-Stuff 164k": coco_stuff.CLASSES_164K,
    "COCO-Stuff 10k": coco_stuff.CLASSES_10K,
    "DAVIS": davis.CLASSES,
}
# Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009), table 1, severity 1.0: what is seen of linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)]
    ),
    "deuteranopia": np.array(
        [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)]
    ),
}
# IEC 61966-2-1: linear sRGB to CIE XYZ, over the white point D65.
TO_XYZ = np.array(
    [(0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227)]
)
WHITE = TO_XYZ.sum(1)


def cielab(colours: np.ndarray, vision: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of 8-bit sRGB as it is seen; shape (N, 3)."""
    level = np.asarray(colours) / 255
    linear = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    ratio = np.clip(linear @ vision.T, 0, 1) @ TO_XYZ.T / WHITE
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], 1)


@pytest.mark.parametrize("vision", VISIONS)
def test_neighbours_are_far_apart_and_none_is_black(vision):
    seen = cielab(DISTINCT, VISIONS[vision])
    for step in (1, 2, 3, 4):
        assert np.linalg.norm(seen[step:] - seen[:-step], axis=1).min() > 29
    assert np.linalg.norm(seen - cielab([(0, 0, 0)], VISIONS[vision]), axis=1).min() > 25
    first = np.linalg.norm(seen[:11, None] - seen[:11], axis=2) + 100 * np.eye(11)
    assert first.min() > 18, "of eleven classes all"


def test_there_is_one_for_each_class_and_none_is_one_of_vocs():
    assert len(set(DISTINCT)) == 254
    assert not set(DISTINCT) & set(map(voc_colour, range(256)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sets_keep_their_colours(name):
    classes = PUBLISHED[name]
    assert classes.colours_in_files == classes.palette


def test_a_folder_is_shown_in_them_unless_it_names_its_own(tmp_path):
    split = open_split("folder", own_set(tmp_path / "a", NAMES), "train")
    assert split.classes.palette == ((0, 0, 0), *DISTINCT[1:3])
    mixed = open_split("folder", own_set(tmp_path / "b", "bg\nbox, 1, 2, 3\ndisc\n"), "train")
    assert mixed.classes.palette == ((0, 0, 0), (1, 2, 3), DISTINCT[2])
    assert named_classes("abc").palette == DISTINCT[:3], "no class is black"


def test_labels_in_vocs_colours_are_read_as_before_and_those_we_write_too(tmp_path):
    root = own_set(tmp_path / "set", NAMES)
    voc = np.array([voc_colour(number) for number in range(3)], np.uint8)
    rewrite(root, lambda k, path: Image.fromarray(voc[label_of(k)]).save(path.with_suffix(".png")))
    split = open_split("folder", root, "train", reading=Reading(convert_rgb_labels=True))
    assert all(np.array_equal(split.label(f"p{k}"), label_of(k)) for k in range(6))
    ours = file_label(label_of(3), split.classes)
    rewrite(root, lambda k, path: ours.convert("RGB").save(path.with_suffix(".png")))
    assert np.array_equal(split.label("p3"), label_of(3))
    rewrite(root, lambda k, path: ours.save(path.with_suffix(".png")))
    check_split(open_split("folder", root, "train"), progress=False)


def test_a_run_begun_in_vocs_colours_goes_on(tmp_path):
    split = open_split("folder", own_set(tmp_path / "set", NAMES), "train")
    before = replace(split.classes, palette=tuple(map(voc_colour, range(3))))
    digest = hashlib.sha256(json.dumps(asdict(before)).encode()).hexdigest()
    assert begun_with((split, split, None), nn.Conv2d(3, 3, 1), "a network").classes == digest


def test_an_old_network_keeps_its_colours(tmp_path):
    name = "deeplabv3_efficientnet_lite0"
    old = ClassSet(("background", "box"), (voc_colour(0), voc_colour(1)), 0)
    network, _ = build_network(name, 2, weights="none")
    save_trained(tmp_path / "old.pt", network, Card(name, True, FAMILIES[name].stages, old, 64))
    assert load_trained(tmp_path / "old.pt")[1].classes.palette == old.palette


def test_more_classes_than_labels_hold_are_one_line(tmp_path):
    root = own_set(tmp_path / "set", "".join(f"class{number}\n" for number in range(300)))
    with pytest.raises(UserError, match=r"classes\.txt: 300 classes; labels of 8 bits hold 254 at most"):
        open_split("folder", root, "train")
    with pytest.raises(UserError, match="300 classes: labels of 8 bits hold 254 at most"):
        named_classes([f"class{number}" for number in range(300)])
