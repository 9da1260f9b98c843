import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from voc_folder import THREE

from rws.data import open_split
from rws.data.sets.voc import VocLayout, find_list, find_root, read_label, read_list
from rws.errors import UserError


def test_reads_images_labels_and_sizes(voc):
    split = VocLayout(voc.root, "train", THREE)
    assert split.ids == ["a", "b", "c"]
    assert len(split) == 3
    assert split.classes is THREE
    image, label = split.image("a"), split.label("a")
    assert (image.mode, image.size, split.size("a")) == ("RGB", (8, 6), (6, 8))
    assert label.dtype == np.uint8
    assert label.shape == (6, 8)
    assert sorted(np.unique(label)) == [0, 1, 255]
    assert pickle.loads(pickle.dumps(split)).ids == split.ids


def test_category_makes_the_labels_binary_and_keeps_ignore(voc):
    split = VocLayout(voc.root, "train", THREE, category="dog")
    assert split.classes.names == ("background", "dog")
    assert np.array_equal(split.label("c") == 1, VocLayout(voc.root, "train", THREE).label("c") == 2)
    assert sorted(np.unique(split.label("a"))) == [0, 255]


@pytest.mark.parametrize(
    ("suffix", "mode"), [(".jpg", "L"), (".jpeg", "RGB"), (".png", "P"), (".png", "RGBA")]
)
def test_images_of_any_kind_become_rgb(voc, suffix, mode):
    voc.image("d", suffix=suffix, mode=mode)
    split = VocLayout(voc.root, "train", THREE, ids=["d"])
    assert split.image_path("d").suffix == suffix
    assert (split.image("d").mode, split.size("d")) == ("RGB", (6, 8))


def test_palette_indices_are_read_and_not_colours(voc):
    values = np.arange(48, dtype=np.uint8).reshape(6, 8)
    assert np.array_equal(read_label(voc.label("d", values)), values)
    grey = voc.root / "SegmentationClass/e.png"
    Image.fromarray(values).save(grey)
    assert np.array_equal(read_label(grey), values)


def test_grey_png_of_four_bits_holds_its_own_values(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)  # 4 x 1 pixels, 4 bits, grey
    body = zlib.compress(bytes([0, 0x01, 0x2F]))
    path = tmp_path / "four.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    assert read_label(path).tolist() == [[0, 1, 2, 15]]


def test_rgb_label_is_refused(voc):
    path = voc.root / "SegmentationClass/a.png"
    Image.new("RGB", (8, 6), (0, 200, 0)).save(path)
    with pytest.raises(
        UserError, match=r"a\.png: a label in colours \(RGB\); labels must hold class indices, mode P or L"
    ):
        VocLayout(voc.root, "train", THREE).label("a")


def test_missing_and_damaged_files_are_named(voc):
    split = VocLayout(voc.root, "train", THREE, ids=["a", "b", "z"])
    with pytest.raises(UserError, match=r"JPEGImages/z: no such image"):
        split.image("z")
    with pytest.raises(UserError, match=r"z\.png: no such label"):
        split.label("z")
    for path in (split.image_path("a"), split.label_path("a")):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"a\.jpg: image cannot be decoded"):
        split.image("a")
    with pytest.raises(UserError, match=r"a\.png: label cannot be decoded"):
        split.label("a")
    split.image_path("b").write_text("no image")
    with pytest.raises(UserError, match=r"b\.jpg: cannot be decoded"):
        split.size("b")


@pytest.mark.parametrize("above", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_root_is_found_from_its_parents(tmp_path, above):
    inner = tmp_path / "root" / above
    for folder in ("JPEGImages", "SegmentationClass"):
        (inner / folder).mkdir(parents=True)
    assert find_root(tmp_path / "root") == inner


def test_wrong_roots_say_where_the_set_goes(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder .*data/VOCdevkit/VOC2012"):
        find_root(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"JPEGImages and SegmentationClass not found .*VOCdevkit"):
        find_root(tmp_path)


def test_lists_are_found_in_both_folders_the_official_first(voc):
    other = voc.list("val", "b", folder="JPEGImages/Segmentation")
    assert find_list(voc.root, "val") == other
    official = voc.list("val", "a")
    assert find_list(voc.root, "val") == official
    with pytest.raises(UserError, match=r"no list test\.txt in .*; the lists there are train, val"):
        VocLayout(voc.root, "test", THREE)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xef\xbb\xbfa\n\n  \nb  \t\nc", ["a", "b", "c"]),
        (b"2007_000032  1\n2007_000033 -1\n2007_000039 0\n", ["2007_000032", "2007_000033", "2007_000039"]),
        (b"b\na\nb\n", ["b", "a"]),
        (b"my image\n", ["my image"]),
        (b"photo\nphoto 1\nphoto 0\n", ["photo", "photo 1", "photo 0"]),
    ],
)
def test_lists_of_many_hands(tmp_path, text, ids):
    path = tmp_path / "list.txt"
    path.write_bytes(text)
    assert read_list(path) == ids


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the list is empty"),
        (b"\xef\xbb\xbf \r\n\r\n", "the list is empty"),
        (b"a\n../secret\n", r"'\.\./secret' is no id but a path"),
        (b"a/b\n", r"'a/b' is no id .* without folder and ending \(in a folder set .*: x-a for images/x/a"),
        (b"a\n..\n", r"'\.\.' is no id but a path"),
        (b"a\\b\n", "is no id"),
        (b"\xff\xfea\x00", "cannot be read"),
    ],
)
def test_bad_lists_are_named(tmp_path, text, message):
    path = tmp_path / "list.txt"
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"list\.txt: .*" + message):
        read_list(path)
    with pytest.raises(UserError, match=r"none\.txt: no such list"):
        read_list(tmp_path / "none.txt")


def test_given_ids_may_not_leave_the_root_either(voc):
    with pytest.raises(UserError, match="is no id but a path"):
        VocLayout(voc.root, "train", THREE, ids=["../a"])


@pytest.mark.parametrize(("name", "split"), [("cityscape", "train"), ("voc2012", "training")])
def test_unknown_set_and_split_name_the_choice(voc, name, split):
    with pytest.raises(UserError, match=r"no (data set|split) '.*choose one of .*(camvid|val)"):
        open_split(name, voc.root, split)


def test_category_of_voc_comes_from_its_own_list(voc, tmp_path):
    lists = tmp_path / "lists"
    (lists / "cat").mkdir(parents=True)
    (lists / "cat/train_cat_list.txt").write_text("b\na\n")
    split = open_split("voc2012", voc.root, "train", category="cat", lists_dir=lists)
    assert (split.ids, split.category, split.classes.names) == (["b", "a"], "cat", ("background", "cat"))
    with pytest.raises(UserError, match=r"val_cat_list\.txt: no such list; make .*make_class_lists\.py"):
        open_split("voc2012", voc.root, "val", category="cat", lists_dir=lists)
    with pytest.raises(UserError, match="no class 'car1': did you mean 'car'"):
        open_split("voc2012", voc.root, "train", category="car1")


def test_committed_lists_are_found_from_any_folder(voc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(open_split("voc2012", voc.root, "train", category="cat").ids) == 131


def test_category_of_other_sets_is_looked_for_in_the_labels(voc):
    voc.list("mine", "cab")
    # In CamVid's numbers 1 is a building and 2 a pole; a pixel of 0, the sky, is in all three.
    assert open_split("camvid", voc.root, "train", category="pole").ids == ["c"]
    assert open_split("camvid", voc.root, "train", category="building", list_name="mine").ids == ["a", "b"]
    with pytest.raises(UserError, match="no label of the list train holds 'car'"):
        open_split("camvid", voc.root, "train", category="car")


def test_list_name_takes_another_list(voc):
    voc.list("train_all", "ba")
    assert open_split("voc2012", voc.root, "train", list_name="train_all").ids == ["b", "a"]


def test_real_sets_open(real_set):
    root = real_set("camvid")
    assert [len(open_split("camvid", root, split)) for split in ("train", "val", "test")] == [367, 101, 233]
    assert open_split("camvid", root, "val").label("0016E5_07959").shape == (360, 480)


def test_ids_without_label_stay_for_the_check_to_name(voc):
    voc.list("train", ["a", "unlabelled"])
    assert open_split("camvid", voc.root, "train", category="building").ids == ["a", "unlabelled"]


def test_several_categories_are_numbered_in_the_order_given(voc):
    split = VocLayout(voc.root, "train", THREE, category=f"dog, {THREE.names[1]}")
    plain = VocLayout(voc.root, "train", THREE)
    assert split.classes.names == ("background", "dog", THREE.names[1])
    for image_id in split.ids:
        before, after = plain.label(image_id), split.label(image_id)
        assert np.array_equal(after == 1, before == 2)
        assert np.array_equal(after == 2, before == 1)
        assert np.array_equal(after == 255, before == 255)


def test_images_of_several_categories_hold_one_of_them(voc):
    one = [open_split("camvid", voc.root, "train", category=c).ids for c in ("pole", "building")]
    both = open_split("camvid", voc.root, "train", category="pole,building")
    assert both.ids == [i for i in ["a", "b", "c"] if i in {*one[0], *one[1]}]
    with pytest.raises(UserError, match=r"no class 'cars': did you mean 'car'\?"):
        open_split("camvid", voc.root, "train", category="pole,cars")
