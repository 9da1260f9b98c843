"""Files as people lay them out and name them: found, or the line says what is there instead."""

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from layouts import LAYOUTS
from own_set import IDS, image_of, label_of, own_set, rewrite
from PIL import Image

from rws.data import open_split
from rws.data.check import check_split
from rws.data.sets.classes_file import read_classes
from rws.data.split import sample
from rws.errors import UserError


def assert_whole(root, ids=IDS, numbers=None):
    """Every image is there with its own label, shared out between train and val."""
    splits = [open_split("folder", root, name) for name in ("train", "val")]
    assert sorted([*splits[0].ids, *splits[1].ids]) == sorted(ids)
    for split in splits:
        check_split(split, progress=False)
        for image_id in split.ids:
            k = (numbers or IDS).index(image_id) if numbers is None else numbers[image_id]
            assert np.array_equal(split.label(image_id), label_of(k))
            assert np.array_equal(np.asarray(split.image(image_id)), image_of(label_of(k), k))


def renamed(root, part, new):
    for path in sorted((root / part).iterdir()):
        path.rename(path.with_name(new(path.name)))


@pytest.mark.parametrize(
    ("images", "masks"),
    [(".PNG", ".png"), (".png", ".PNG"), (".Png", ".pNg"), (".JPG", ".PNG"), (".TIF", ".Tif")],
)
def test_letter_case_of_endings(tmp_path, images, masks):
    root = own_set(tmp_path / "set", lists=False)
    renamed(root, "images", lambda name: name.replace(".png", images))
    renamed(root, "masks", lambda name: name.replace(".png", masks))
    assert_whole(root)


@pytest.mark.parametrize("key", LAYOUTS)
def test_capitals_are_read_in_every_set(tmp_path, key):
    layout = LAYOUTS[key]
    root = layout.make(tmp_path / "set")
    before = open_split(layout.name, root, "train")
    labels = {i: before.label(i) for i in before.ids}
    for path in [p for p in root.rglob("*") if p.suffix in (".jpg", ".png", ".mat")]:
        path.rename(path.with_suffix(path.suffix.upper()))
    after = open_split(layout.name, root, "train")
    assert after.ids == before.ids
    assert check_split(after, progress=False).good == before.ids
    assert all(np.array_equal(after.label(i), label) for i, label in labels.items())


def test_letter_case_of_names_where_it_is_clear(tmp_path):
    root = own_set(tmp_path / "set")
    renamed(root, "masks", str.upper)
    assert_whole(root)
    Image.fromarray(label_of(7)).save(root / "masks/p0.png")
    assert np.array_equal(open_split("folder", root, "train").label("p0"), label_of(7)), (
        "the exact name first"
    )


def test_images_that_differ_in_letter_case_alone_do_not_share_a_mask(tmp_path):
    root = own_set(tmp_path / "set", lists=False)
    shutil.copy(root / "images/p1.png", root / "images/P0.png")
    with pytest.raises(UserError, match=r"the images P0 and p0 differ in letter case alone and share a mask"):
        open_split("folder", root, "train")


def test_ids_of_one_file_count_once(tmp_path):
    root = own_set(tmp_path / "set")
    (root / "train.txt").write_text("p0\nP0\nP0.png\np1\n")
    assert open_split("folder", root, "train").ids == ["p0", "p1"]


def test_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    root = own_set(tmp_path / "set", lists=False)
    scan = os.scandir

    def refused(path):
        if Path(path).name == "masks":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(UserError, match=r"masks: Permission denied; make it readable, or take it out"):
        open_split("folder", root, "train")


@pytest.mark.parametrize(
    "first", ["# classes\nbackground", "names:\n- background", "background 0 0 0", "background\n, 1, 2, 3"]
)
def test_lines_of_classes_txt_that_are_no_class(tmp_path, first):
    root = own_set(tmp_path / "set")
    (root / "classes.txt").write_text(f"{first}\nbox\ndisc\n")
    with pytest.raises(UserError, match=r"classes\.txt: '.*' is no name of a class; write `name` or"):
        open_split("folder", root, "train")


def test_labels_without_object_are_refused_and_a_class_that_none_holds_is_told(tmp_path):
    root = own_set(tmp_path / "set")
    for path in (root / "masks").iterdir():
        label = np.array(Image.open(path))
        Image.fromarray(np.where(label == 2, 0, label)).save(path)
    split = open_split("folder", root, "train")
    assert check_split(split, progress=False).notes == ["no image holds disc"]
    for path in (root / "masks").iterdir():
        Image.fromarray(np.zeros_like(np.array(Image.open(path)))).save(path)
    with pytest.raises(UserError, match="the labels of train hold background only; label the objects"):
        check_split(split, progress=False)


def test_masks_in_a_format_that_is_not_read_are_to_be_converted(tmp_path):
    root = own_set(tmp_path / "set")
    renamed(root, "masks", lambda name: name.replace(".png", ".webp"))
    with pytest.raises(
        UserError, match=r"p0 \(p0\.webp is there\).*convert these files to PNG, which is read"
    ):
        check_split(open_split("folder", root, "train"), progress=False)


def test_a_label_of_another_size_is_refused_without_the_check(tmp_path):
    root = own_set(tmp_path / "set")
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(root / "masks/p0.png")
    with pytest.raises(UserError, match=r"masks/p0\.png: the label is 6 x 5 pixels, its image"):
        sample(open_split("folder", root, "train"), "p0")


@pytest.mark.parametrize("where", ["images", "masks", "lists"])
def test_two_unicode_forms_of_one_name(tmp_path, where):
    root = own_set(tmp_path / "set")
    composed, apart = (unicodedata.normalize(form, "größe é") for form in ("NFC", "NFD"))
    assert composed != apart
    for part, name in (("images", composed), ("masks", composed)):
        name = apart if part == where else name
        (root / part / "p0.png").rename(root / part / f"{name}.png")
    listed = apart if where == "lists" else composed
    (root / "train.txt").write_text("\n".join([listed, *IDS[1:6]]), encoding="utf-8")
    split = open_split("folder", root, "train")
    assert check_split(split, progress=False).images == 6
    assert np.array_equal(split.label(listed), label_of(0))
    for name in ("train.txt", "val.txt"):
        (root / name).unlink()
    drawn = [i for name in ("train", "val") for i in open_split("folder", root, name).ids]
    assert len(drawn) == 8


def test_images_of_other_formats_are_read(tmp_path):
    root = own_set(tmp_path / "set")
    endings = [".bmp", ".webp", ".tif", ".tiff", ".png", ".bmp", ".tif", ".webp"]
    rewrite(
        root,
        lambda k, path: Image.fromarray(image_of(label_of(k), k)).save(
            path.with_suffix(endings[k]), lossless=True
        ),
        "images",
    )
    assert_whole(root)


@pytest.mark.parametrize("end", ["_mask", "-seg", ".gt", " label", "_L"])
def test_masks_with_an_end_to_their_names(tmp_path, end):
    root = own_set(tmp_path / "set")
    renamed(root, "masks", lambda name: name.replace(".png", f"{end}.png"))
    assert_whole(root)


def test_images_with_an_end_to_their_names(tmp_path):
    root = own_set(tmp_path / "set", lists=False)
    renamed(root, "images", lambda name: name.replace(".png", "_rgb.png"))
    assert_whole(root)


def test_ends_that_differ_are_no_end(tmp_path):
    root = own_set(tmp_path / "set")
    (root / "masks/p0.png").rename(root / "masks/p0_a.png")
    with pytest.raises(UserError, match=r"1 of 6 ids of train without label in masks .*: p0;"):
        check_split(open_split("folder", root, "train"), progress=False)


def test_folders_of_folders(tmp_path):
    root = own_set(tmp_path / "set", lists=False)
    numbers = {}
    for k, image_id in enumerate(IDS):
        for part in ("images", "masks"):
            (root / part / "ab"[k % 2]).mkdir(exist_ok=True)
            (root / part / f"{image_id}.png").rename(root / part / "ab"[k % 2] / f"q{k // 2}.png")
        numbers[f"{'ab'[k % 2]}-q{k // 2}"] = k
    assert_whole(root, numbers, numbers)


SPLIT_FOLDERS = [
    ("train", "val"),
    ("training", "validation"),
    ("train", "valid"),
    ("Train", "Val"),
    ("train2017", "val2017"),
    ("train", "dev"),
]


@pytest.mark.parametrize(("train", "val"), SPLIT_FOLDERS)
def test_a_folder_for_each_split(tmp_path, train, val):
    root = own_set(tmp_path / "set", lists=False)
    for k, image_id in enumerate(IDS):
        for part in ("images", "masks"):
            folder = root / part / (train if k < 5 else val)
            folder.mkdir(exist_ok=True)
            (root / part / f"{image_id}.png").rename(folder / f"{image_id}.png")
    assert open_split("folder", root, "train").ids == list(IDS[:5])
    assert check_split(open_split("folder", root, "train"), progress=False).notes == []
    assert_whole(root)


def test_lists_of_other_names_are_not_passed_over(tmp_path):
    root = own_set(tmp_path / "set")
    for name, other in (("train", "training"), ("val", "valid")):
        (root / f"{name}.txt").rename(root / f"{other}.txt")
    with pytest.raises(
        UserError, match=r"training\.txt is there, and is not read; name the lists train\.txt"
    ):
        open_split("folder", root, "train")


@pytest.mark.parametrize("other", ["Train.txt", "test.txt", "ImageSets/Segmentation/train.txt"])
def test_lists_that_are_not_read_are_told(tmp_path, other):
    root = own_set(tmp_path / "set", lists=False)
    (root / other).parent.mkdir(parents=True, exist_ok=True)
    (root / other).write_text("p0\n")
    with pytest.raises(UserError, match=rf"{other} is there, and is not read"):
        open_split("folder", root, "val")


@pytest.mark.parametrize(("folders", "masks"), [(("train", "test"), True), (("train", "val"), False)])
def test_folders_of_splits_that_are_not_read_as_such_are_no_images_of_one_set(tmp_path, folders, masks):
    root = own_set(tmp_path / "set", lists=False)
    for k, image_id in enumerate(IDS):
        for part in ("images", "masks") if masks else ("images",):
            (root / part / folders[k % 2]).mkdir(exist_ok=True)
            (root / part / f"{image_id}.png").rename(root / part / folders[k % 2] / f"{image_id}.png")
    there = f"images/ has {', '.join(folders)}; masks/ has {', '.join(folders) if masks else 'none'}"
    with pytest.raises(UserError, match=rf"{there}; name one train and one val in both, or write train\.txt"):
        open_split("folder", root, "train")


def test_a_split_that_is_drawn_is_told(tmp_path):
    root = own_set(tmp_path / "set", lists=False)
    note = "2 of 8 images are drawn for it (--data.val-share); train.txt and val.txt would say which"
    assert open_split("folder", root, "val").notes == [note]
    assert open_split("folder", root, "train").notes == []


def test_what_lies_beside_the_folders_of_the_splits_is_told(tmp_path):
    root = own_set(tmp_path / "set")
    for part in ("images", "masks"):
        for folder, image_id in (("train", "p0"), ("train", "p1"), ("val", "p2"), ("more", "p3")):
            (root / part / folder).mkdir(exist_ok=True)
            (root / part / f"{image_id}.png").rename(root / part / folder / f"{image_id}.png")
    splits = [open_split("folder", root, name) for name in ("train", "val")]
    assert [split.ids for split in splits] == [["p0", "p1"], ["p2"]]
    notes = check_split(splits[0], progress=False).notes
    assert notes == [
        "images/train, images/val are the splits; not read: 5 other images, such as images/more/p3.png, "
        "train.txt, val.txt"
    ]
    assert splits[1].notes == []


def test_roboflow(tmp_path):
    source, root = own_set(tmp_path / "source"), tmp_path / "set"
    for k, image_id in enumerate(IDS):
        folder = root / ("train" if k < 5 else "valid")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / f"images/{image_id}.png", folder / f"{image_id}_jpg.rf.0{k}.png")
        shutil.copy(source / f"masks/{image_id}.png", folder / f"{image_id}_jpg.rf.0{k}_mask.png")
        (folder / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, box\n2, disc\n")
    assert_whole(root, *[{f"p{k}_jpg.rf.0{k}": k for k in range(8)}] * 2)
    classes = open_split("folder", root, "train").classes
    assert (classes.names, classes.background) == (("background", "box", "disc"), 0)
    shutil.rmtree(root / "valid")
    with pytest.raises(UserError, match=r"no folder val or valid or validation with _classes\.csv"):
        open_split("folder", root, "val")


def test_lists_with_endings(tmp_path):
    root = own_set(tmp_path / "set")
    for name in ("train", "val"):
        ids = (root / f"{name}.txt").read_text().split()
        (root / f"{name}.txt").write_text("".join(f"{i}.png\n" for i in ids))
    assert_whole(root)


@pytest.mark.parametrize(("path", "image_id"), [("a..b", "a..b"), ("x/a", "x-a"), ("x/a..", "x-a..")])
def test_names_with_two_dots_and_those_of_folders_are_ids(tmp_path, path, image_id):
    root = own_set(tmp_path / "set")
    for part in ("images", "masks"):
        (root / part / "x").mkdir()
        (root / part / "p0.png").rename(root / part / f"{path}.png")
    (root / "train.txt").write_text("\n".join([image_id, *IDS[1:6]]))
    split = open_split("folder", root, "train")
    assert check_split(split, progress=False).images == 6
    assert np.array_equal(split.label(image_id), label_of(0))


def test_a_name_that_ends_like_a_file_is_left_whole(tmp_path):
    root = own_set(tmp_path / "set")
    for part in ("images", "masks"):
        (root / part / "p0.png").rename(root / part / "p0.jpg.png")
    (root / "train.txt").write_text("p0.jpg\np1\np2\np3\np4\np5\n")
    assert open_split("folder", root, "train").ids[0] == "p0.jpg"
    assert np.array_equal(open_split("folder", root, "train").label("p0.jpg"), label_of(0))


@pytest.mark.parametrize("part", ["images", "masks"])
def test_a_broken_link_is_told(tmp_path, part):
    root = own_set(tmp_path / "set")
    (root / part / "p0.png").unlink()
    (root / part / "p0.png").symlink_to(tmp_path / "gone.png")
    message = rf"1 of 6 .*: p0 \(a link to {tmp_path}/gone\.png, which is not there\)"
    with pytest.raises(UserError, match=message):
        check_split(open_split("folder", root, "train"), progress=False)


def test_formats_that_are_not_read_are_named_with_the_way_out(tmp_path):
    root = own_set(tmp_path / "set")
    renamed(root, "images", lambda name: name.replace(".png", ".HEIC"))
    with pytest.raises(UserError, match=r"p0 \(p0\.HEIC is there\), .*; convert these files to PNG or JPEG"):
        check_split(open_split("folder", root, "train"), progress=False)
    for path in (root / "masks").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"images: holds no image .*8 \.heic\); convert them"):
        open_split("folder", root, "train")


def test_heic_under_another_name(tmp_path):
    root = own_set(tmp_path / "set")
    (root / "images/p0.png").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with pytest.raises(UserError, match=r"p0\.png \(it is HEIC\); convert it to PNG or JPEG"):
        check_split(open_split("folder", root, "train"), progress=False)


def test_a_root_without_the_folders_says_what_it_holds(tmp_path):
    (tmp_path / "Bilder").mkdir()
    with pytest.raises(UserError, match=r"images and masks not found .*it holds Bilder"):
        open_split("folder", tmp_path, "train")


@pytest.mark.parametrize("part", ["images", "masks"])
def test_files_of_several_pages_are_refused(tmp_path, part):
    root = own_set(tmp_path / "set")
    pages = [Image.fromarray(label_of(k)) for k in range(3)]
    (root / part / "p0.png").unlink()
    for path in (root / part).iterdir():
        Image.open(path).save(path.with_suffix(".tif"))
        path.unlink()
    pages[0].save(root / part / "p0.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(UserError, match=r"file of several pages or frames: p0\.tif \(3 of them\)"):
        check_split(open_split("folder", root, "train"), progress=False)


def test_the_smaller_copies_of_a_pyramid_are_no_pages(tmp_path):
    root = own_set(tmp_path / "set")
    image = Image.fromarray(image_of(label_of(0)))
    (root / "images/p0.png").unlink()
    image.save(root / "images/p0.tif", save_all=True, append_images=[image.reduce(2), image.reduce(4)])
    assert_whole(root)


# classes.txt.


@pytest.mark.parametrize(
    "text",
    [
        "_background_\nbox\ndisc\n",
        "__ignore__\n_background_\nbox\ndisc\n",
        "0 background\n1 box\n2 disc\n",
        "0: Background\n1: box\n2: disc\n",
        "0\tbg\n1\tbox\n2\tdisc\n",
        "0, background\n1, box\n2, disc\n",
        "0, background, 0, 0, 0\n1, box, 128, 0, 0\n2, disc, 0, 128, 0\n",
    ],
)
def test_names_and_numbers_as_tools_write_them(tmp_path, text):
    (tmp_path / "classes.txt").write_text(text)
    classes = read_classes(tmp_path / "classes.txt")
    assert (classes.names[1:], classes.background) == (("box", "disc"), 0)
    assert classes.in_files == (0, 1, 2)
    assert classes.colours_in_files == ((0, 0, 0), (128, 0, 0), (0, 128, 0))


def test_folders_that_are_links_are_entered(tmp_path):
    root, other = own_set(tmp_path / "set", lists=False), own_set(tmp_path / "other", lists=False)
    for part in ("images", "masks"):
        (root / part / "more").symlink_to(other / part, target_is_directory=True)
        (other / part / "round").symlink_to(root / part, target_is_directory=True)
    found = [open_split("folder", root, name).ids for name in ("train", "val")]
    assert len({*found[0], *found[1]}) >= 2 * len(IDS)
    assert {f"more-{image_id}" for image_id in IDS} <= {*found[0], *found[1]}


def test_a_class_without_colour_has_that_of_its_number_in_the_masks(tmp_path):
    """In VOC's palette 1 is (128, 0, 0), whatever its place in classes.txt."""
    (tmp_path / "classes.txt").write_text("1 road\n2 car\n4 sky\n")
    classes = read_classes(tmp_path / "classes.txt")
    assert classes.in_files == (1, 2, 4)
    assert classes.colours_in_files == ((128, 0, 0), (0, 128, 0), (0, 0, 128))


def test_numbers_before_names_are_those_in_the_masks(tmp_path):
    root = own_set(tmp_path / "set", "0 background\n2 disc\n1 box\n")
    split = open_split("folder", root, "train")
    assert split.classes.names == ("background", "disc", "box")
    assert np.array_equal(split.label("p0"), np.array([0, 2, 1])[label_of(0)])


@pytest.mark.parametrize(
    ("text", "message"),
    [("0 a\n0 b\n", "0 stands there twice"), ("0 a\n255 b\n", "255 is no number of a class; write 0 to 253")],
)
def test_wrong_numbers(tmp_path, text, message):
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_classes(tmp_path / "classes.txt")


def test_a_number_in_a_name_alone_is_a_name(tmp_path):
    (tmp_path / "classes.txt").write_text("background\n2 wheeler\n3d\n")
    assert read_classes(tmp_path / "classes.txt").names == ("background", "2 wheeler", "3d")
