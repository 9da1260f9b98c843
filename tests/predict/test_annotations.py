"""Labels as annotations: regions to the pixel, and COCO and labelme as their readers see them."""

import json

import numpy as np
import pytest
from exports import scenes
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rws.data import open_split
from rws.data.classes import CAMVID, DEMO
from rws.data.import_.__main__ import main
from rws.predict.annotations import CocoFile, labelme, polygons, write_json

LABELS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 3))


def drawn(label: np.ndarray, regions) -> np.ndarray:
    """The regions in a label of their own, each pixel at most once."""
    back = np.zeros_like(label)
    for region in regions:
        mask = region.pixels(label.shape)
        assert not back[mask].any()
        back[mask] = region.number
    return back


@given(LABELS)
def test_regions_hold_each_pixel_of_their_class_and_no_other(label):
    assert np.array_equal(drawn(label, polygons(label, DEMO, tolerance=0)), label)


def test_a_ring_has_a_hole_and_what_lies_in_it_is_a_region_of_its_own():
    label = np.zeros((9, 9), np.uint8)
    label[1:8, 1:8], label[3:6, 3:6], label[4, 4] = 1, 0, 1
    ring, dot = sorted(polygons(label, DEMO), key=lambda region: len(region.holes), reverse=True)
    assert (ring.name, ring.number, len(ring.holes), dot.holes) == ("kite", 1, 1, ())
    assert ring.box_xywh == [1, 1, 7, 7]
    assert dot.box_xywh == [4, 4, 1, 1]
    assert (ring.pixels((9, 9)).sum(), dot.pixels((9, 9)).sum()) == (40, 1)


def test_background_and_what_counts_nowhere_are_no_regions():
    label = np.full((4, 4), 255, np.uint8)
    assert polygons(label, DEMO) == []
    label[:2] = 0
    assert polygons(label, DEMO) == []
    (sky,) = polygons(label, CAMVID)  # which has no background
    assert sky.name == "sky"
    assert sky.box_xywh == [0, 0, 4, 2]


def test_fewer_corners_are_kept_than_an_outline_has_steps():
    label = np.tril(np.ones((40, 40), np.uint8))
    (exact,), (simple,) = polygons(label, DEMO, tolerance=0), polygons(label, DEMO)
    assert len(exact.outline) > 100
    assert len(simple.outline) < 10


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """The least over the classes."""
    shares = [((one == n) & (other == n)).sum() / ((one == n) | (other == n)).sum() for n in np.unique(one)]
    return min(shares)


@pytest.mark.parametrize("form", ["coco", "labelme"])
def test_written_and_imported_again_the_labels_are_the_same(tmp_path, form):
    gathered = CocoFile(DEMO)
    for scene in scenes():
        path = tmp_path / "photos" / f"{scene.name}.jpg"
        scene.save(path)
        gathered.add(path.name, scene.label)
        if form == "labelme":
            folder = tmp_path / "photos/out"
            write_json(labelme(scene.label, DEMO, path, folder), folder / f"{scene.name}.json")
    if form == "coco":
        write_json(gathered.tree(), tmp_path / "photos/annotations.coco.json")
    assert main([form, str(tmp_path / "photos"), "--output", str(tmp_path / "mine")]) == 0
    splits = [open_split("folder", tmp_path / "mine", name) for name in ("train", "val")]
    by_id = {scene.name.replace(" ", "_"): scene for scene in scenes()}
    assert sum(len(split.ids) for split in splits) == len(by_id)
    for split in splits:
        to_number = np.array([DEMO.names.index(name) for name in split.classes.names], np.uint8)
        for image_id in split.ids:
            assert iou(by_id[image_id].label, to_number[split.label(image_id)]) > 0.98


def test_pycocotools_reads_the_same_from_the_file(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    gathered = CocoFile(DEMO)
    for scene in scenes():
        gathered.add(f"{scene.name}.jpg", scene.label)
    write_json(gathered.tree(), tmp_path / "x.json")
    assert any(isinstance(one["segmentation"], dict) for one in gathered.annotations)
    read = coco.COCO(str(tmp_path / "x.json"))
    for number, scene in enumerate(scenes(), 1):
        back = np.zeros_like(scene.label)
        for one in read.loadAnns(read.getAnnIds(imgIds=number)):
            mask = read.annToMask(one).astype(bool)
            assert one["area"] == np.count_nonzero(mask)
            back[mask] = one["category_id"]
        assert iou(scene.label, back) > 0.98


def test_labelme_has_no_holes_so_they_are_cut_to_the_outline(tmp_path):
    label = np.zeros((9, 9), np.uint8)
    label[1:8, 1:8], label[3:6, 3:6] = 1, 0
    tree = json.loads(json.dumps(labelme(label, DEMO, tmp_path / "a.jpg", tmp_path / "out")))
    assert [shape["shape_type"] for shape in tree["shapes"]] == ["polygon"]
    assert (tree["imageHeight"], tree["imageWidth"], tree["imagePath"]) == (9, 9, "../a.jpg")
