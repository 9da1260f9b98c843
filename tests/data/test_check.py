import numpy as np
import pytest
from PIL import Image
from voc_folder import THREE

from rws.data import open_split
from rws.data.check import check_split
from rws.data.sets.voc import VocLayout
from rws.errors import UserError


def check(voc, category=None):
    return check_split(VocLayout(voc.root, "train", THREE, category=category), progress=False)


def fails(voc, *parts):
    with pytest.raises(UserError) as caught:
        check(voc)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


def test_counts_pixels_and_sizes(voc):
    voc.pair("d", 2, size=(5, 7))
    voc.list("train", "abcd")
    report = check(voc)
    assert report.images == 4
    assert report.pixels.dtype == np.int64
    assert report.pixels.tolist() == [3 * 44 + 31, 6, 6]
    assert report.ignored_pixels == 4
    assert report.sizes == {(6, 8): 3, (5, 7): 1}


def test_category_counts_two_classes_but_checks_the_original_ones(voc):
    assert check(voc, "dog").pixels.tolist() == [3 * 47 - 3, 3]
    voc.pair("b", 3)
    with pytest.raises(UserError, match=r"b\.png \(3\)"):
        check(voc, "dog")


def test_ids_without_image_name_the_first_five_and_the_number(voc):
    voc.list("train", ["a", *(f"x{index}" for index in range(7))])
    message = fails(voc, "7 of 8 ids of train without image", "x0, x1, x2, x3, x4, ...;")
    assert "x5" not in message


def test_ids_without_label(voc):
    (voc.root / "SegmentationClass/b.png").unlink()
    fails(voc, "1 of 3 ids of train without label in SegmentationClass", ": b;")


@pytest.mark.parametrize("progress", [True, False])
def test_truncated_image_is_named(voc, progress, capsys, monkeypatch):
    monkeypatch.setattr("rws.runtime.bars.SECONDS", 0)  # a bar in a log is a line at once
    path = voc.image("b", size=(60, 80))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"1 of 3 .*image that cannot be decoded: b\.jpg; replace"):
        check_split(VocLayout(voc.root, "train", THREE), progress=progress)
    assert ("check train" in capsys.readouterr().err) == progress


def test_truncated_label_is_named(voc):
    path = voc.label("b", np.random.default_rng(0).integers(0, 3, (6, 8)))
    path.write_bytes(path.read_bytes()[:-30])
    fails(voc, "label that cannot be decoded: b.png")


def test_label_of_another_size_gives_both(voc):
    voc.label("c", np.zeros((8, 6)))
    fails(voc, "label of another size than its image", "c (image 6x8, label 8x6)")


def test_colour_label_is_refused(voc):
    Image.new("RGB", (8, 6), (0, 200, 0)).save(voc.root / "SegmentationClass/a.png")
    fails(voc, "labels must hold class indices, mode P or L", "a.png (RGB)")


def test_values_outside_the_classes_are_listed(voc):
    values = np.zeros((6, 8))
    values[0, :3] = 3, 254, 255
    voc.label("a", values)
    fails(voc, "label values outside the classes 0..2 and 255", "a.png (3, 254)")


def test_first_kind_is_told_whatever_the_order_of_the_ids(voc):
    voc.pair("a", 9)  # wrong value, first in the list
    Image.new("RGB", (8, 6), (0, 200, 0)).save(voc.root / "SegmentationClass/b.png")
    fails(voc, "1 of 3", "mode P or L")
    voc.label("b", np.zeros((3, 3)))
    fails(voc, "1 of 3", "another size")
    (voc.root / "JPEGImages/c.jpg").write_text("nothing")
    fails(voc, "1 of 3", "cannot be decoded: c.jpg")
    (voc.root / "SegmentationClass/b.png").unlink()
    fails(voc, "1 of 3", "without label")
    (voc.root / "JPEGImages/a.jpg").unlink()
    fails(voc, "1 of 3", "without image")


def test_result_does_not_depend_on_the_threads(voc):
    split = VocLayout(voc.root, "train", THREE)
    one, four = (check_split(split, threads=threads, progress=False) for threads in (1, 4))
    assert one.pixels.tolist() == four.pixels.tolist()


def test_real_camvid_passes(real_set):
    report = check_split(open_split("camvid", real_set("camvid"), "val"), progress=False)
    assert (report.images, report.sizes) == (101, {(360, 480): 101})
    assert (report.pixels > 0).all()
    assert report.pixels.sum() + report.ignored_pixels == 101 * 360 * 480
