"""What each format has of its own: shapes, orders, layouts, and what is refused in one line."""

import base64
import io
import json
import shutil

import numpy as np
import pytest
from exports import EXPORTS, scenes, voc
from PIL import Image
from test_import_odd import BOX, HALF, H, W, of_box, picture

from rws.data import open_split
from rws.data.classes import VOC2012
from rws.data.import_.__main__ import READERS, main

POINTS = np.reshape(BOX, (-1, 2)).tolist()


@pytest.fixture
def label(tmp_path, capsys):
    """A function that imports tmp_path/export and gives the label of image a, and what was said."""

    def run(form: str, source: str = ".", *flags: str) -> tuple[np.ndarray, str]:
        assert (
            main([form, str(tmp_path / "export" / source), "--output", str(tmp_path / "mine"), *flags]) == 0
        )
        splits = [open_split("folder", tmp_path / "mine", name, reading=HALF) for name in ("train", "val")]
        return next(s for s in splits if "a" in s.ids).label("a"), capsys.readouterr().out

    for name in "ab":
        picture(tmp_path / f"export/{name}.png")
    return run


# labelme.


def labelme(folder, *shapes, **more) -> None:
    sizes = {"imageHeight": H, "imageWidth": W, "imageData": None}
    for name in "ab":
        tree = {"shapes": shapes, "imagePath": f"{name}.png", **sizes, **more}
        (folder / f"{name}.json").write_text(json.dumps(tree))


@pytest.mark.parametrize(
    ("kind", "points", "pixels"),
    [
        ("polygon", POINTS, 36),
        (None, POINTS, 36),
        ("rectangle", [[9, 8], [3, 2]], 36),
        ("rectangle", POINTS, 36),  # of X-AnyLabeling, as are the next two
        ("rotation", [[6, 2], [9, 5], [6, 8], [3, 5]], 18),
        ("quadrilateral", POINTS, 36),
        ("circle", [[8, 6], [8, 2]], 52),  # the centres that lie within 4 of (8, 6)
    ],
)
def test_labelme_shapes(tmp_path, label, kind, points, pixels):
    labelme(tmp_path / "export", {"label": "kite", "points": points, "shape_type": kind})
    assert np.count_nonzero(label("labelme")[0]) == pixels


@pytest.mark.parametrize("kind", ["linestrip", "line", "point", "points"])
def test_labelme_shapes_without_area_are_told(tmp_path, label, kind):
    kite = {"label": "kite", "points": POINTS, "shape_type": "polygon"}
    labelme(tmp_path / "export", kite, {"label": "fish", "points": [[1, 1], [2, 2]], "shape_type": kind})
    found, said = label("labelme")
    assert np.array_equal(found, of_box())
    assert f"a.json: a {kind} of fish covers nothing; the image is read without it" in said


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([[*point, 0] for point in POINTS], "points of 3 numbers, where x, y are needed"),
        ([["3", "x"], ["9", "2"], ["9", "8"]], "no list of x, y ([['3', 'x'],"),
        ("3,2 9,2 9,8", "no list of x, y (3,2 9,2 9,8)"),
        ([{"x": 3, "y": 2}] * 3, "no list of x, y"),
        ([[3, 2], [9, 2], [9]], "no list of x, y"),
        ([[3, None], [9, 2], [9, 8]], "no finite number"),
        (None, "an outline that is no list of x, y (None)"),
    ],
)
def test_labelme_points_that_are_none(tmp_path, label, points, reason):
    labelme(tmp_path / "export", {"label": "kite", "points": POINTS})
    picture(tmp_path / "export/c.png")
    tree = {"shapes": [{"label": "kite", "points": points}], "imagePath": "c.png"}
    (tmp_path / "export/c.json").write_text(json.dumps(tree))
    (line,) = [line for line in label("labelme")[1].splitlines() if line.startswith("left out: ")]
    assert f"{tmp_path}/export/c.json: " in line
    assert reason in line


def test_labelme_ignores_what_is_called_so(tmp_path, label):
    labelme(
        tmp_path / "export",
        {"label": "kite", "points": [[0, 0], [W, H]], "shape_type": "rectangle"},
        {"label": "__ignore__", "points": POINTS, "shape_type": "polygon"},
    )
    assert np.array_equal(label("labelme")[0], np.where(of_box() == 1, 255, 1))


def test_labelme_labels_txt_that_is_no_utf_8_is_told(tmp_path, capsys):
    picture(tmp_path / "export/a.png")
    labelme(tmp_path / "export", {"label": "kite", "points": POINTS})
    (tmp_path / "export/labels.txt").write_text("kite", encoding="utf-16")
    assert main(["labelme", str(tmp_path / "export"), "--output", str(tmp_path / "mine")]) == 2
    assert "labels.txt: cannot be read" in capsys.readouterr().err


def test_labelme_masks_fill_their_box(tmp_path, label):
    content = io.BytesIO()
    Image.new("L", (5, 5), 255).save(content, "PNG")
    mask = {"shape_type": "mask", "mask": base64.b64encode(content.getvalue()).decode()}
    labelme(tmp_path / "export", {"label": "kite", "points": POINTS})
    picture(tmp_path / "export/c.png")
    shape = {"label": "kite", "points": [[0, 0], [7, 4]], **mask}
    (tmp_path / "export/c.json").write_text(json.dumps({"shapes": [shape], "imagePath": "c.png"}))
    assert "a mask of 5 x 5 pixels in a box of 8 x 5" in label("labelme")[1]


def test_labelme_files_that_cannot_be_read_are_left_out(tmp_path, label):
    folder = tmp_path / "export"
    kite = {"label": "kite", "points": POINTS, "shape_type": "polygon"}
    labelme(folder, kite)
    (folder / "c.json").write_text("{")
    (folder / "d.json").write_text("[1]")
    (folder / "e.json").write_text("{}")
    (folder / "f.json").write_text(json.dumps({"shapes": [], "imagePath": "..\\..\\f.png"}))
    (folder / "g.json").write_text(
        json.dumps({"shapes": [{**kite, "shape_type": "x"}], "imagePath": "b.png"})
    )
    (folder / "h.json").write_text(json.dumps({"shapes": [], "imagePath": "h.png", "imageData": "aGVsbG8="}))
    found, said = label("labelme")
    assert np.array_equal(found, of_box())
    lines = [line for line in said.splitlines() if line.startswith("left out: ")]
    reasons = (
        "as JSON",
        "holds list",
        "no list of shapes",
        "no image ..\\",
        "which is not known",
        "imageData is no",
    )
    assert len(lines) == len(reasons)
    assert all(any(reason in line for line in lines) for reason in reasons)


def test_labelme_takes_no_image_that_another_file_is_beside(tmp_path, label):
    kite = {"label": "kite", "points": POINTS, "shape_type": "polygon"}
    labelme(tmp_path / "export", kite)
    for folder in "xy":
        picture(tmp_path / f"export/{folder}/d.png")
        (tmp_path / f"export/{folder}/d.json").write_text(json.dumps({"shapes": [], "imagePath": "d.png"}))
    (tmp_path / "export/x/d.png").unlink()
    image, said = tmp_path / "export/y/d.png", label("labelme")[1]
    assert f"x/d.json: no image d.png beside it, and {image} is that of d.json there" in said
    assert (tmp_path / "mine/images/d.png").resolve() == image


# CVAT.


def cvat(folder, shapes: str, more: str = "") -> None:
    images = "".join(
        f'<image id="0" name="{name}.png" width="{W}" height="{H}">{shapes}</image>' for name in "ab"
    )
    (folder / "annotations.xml").write_text(f"<annotations>{more}{images}</annotations>")


@pytest.mark.parametrize("source", [".", "annotations.xml"])
@pytest.mark.parametrize(
    ("shape", "pixels"),
    [
        ('<polygon label="kite" points="3,2;9,2;9,8;3,8"/>', 36),
        ('<box label="kite" xtl="3" ytl="2" xbr="9" ybr="8"/>', 36),
        ('<box label="kite" xtl="2" ytl="4" xbr="10" ybr="6" rotation="90"/>', 16),
        ('<ellipse label="kite" cx="8" cy="6" rx="4" ry="4"/>', 52),
        ('<mask label="kite" rle="1, 2, 1, 2" left="14" top="2" width="3" height="2"/>', 2),
    ],
)
def test_cvat_shapes(tmp_path, label, source, shape, pixels):
    cvat(tmp_path / "export", shape)
    assert np.count_nonzero(label("cvat", source)[0]) == pixels


def test_cvat_order_is_that_of_z_order(tmp_path, label):
    box = 'ytl="2" xbr="9" ybr="8"'
    above, below = (
        f'<box label="kite" z_order="2" xtl="3" {box}/>',
        f'<box label="fish" z_order="1" xtl="0" {box}/>',
    )
    cvat(tmp_path / "export", above + below, "<meta><labels><label><name>kite</name></label></labels></meta>")
    expected = of_box()
    expected[2:8, :3] = 2
    assert np.array_equal(label("cvat")[0], expected)


@pytest.mark.parametrize("kind", ["rectangle", "circle"])
def test_labelme_shapes_with_a_point_too_many(tmp_path, label, kind):
    labelme(tmp_path / "export", {"label": "kite", "points": POINTS})
    picture(tmp_path / "export/c.png")
    shape = {"label": "kite", "points": POINTS[:3], "shape_type": kind}
    (tmp_path / "export/c.json").write_text(json.dumps({"shapes": [shape], "imagePath": "c.png"}))
    assert f"c.json: a {kind} of kite has 3 points" in label("labelme")[1]
    assert not (tmp_path / "mine/images/c.png").exists()


def test_cvat_masks_outside_of_the_image_are_told(tmp_path, label):
    picture(tmp_path / "export/c.png")
    mask = '<mask label="kite" rle="0, 6" left="99" top="2" width="3" height="2"/>'
    image = f'<image id="1" name="c.png" width="{W}" height="{H}">{mask}</image>'
    cvat(tmp_path / "export", '<polygon label="kite" points="3,2;9,2;9,8;3,8"/>', image)
    assert "image c.png: its kite lies outside of the image" in label("cvat")[1]
    assert not (tmp_path / "mine/images/c.png").exists()


# YOLO.


def yolo(folder, *lines: str, **more) -> None:
    tree = {"train": "images/train", "val": "images/val", "names": ["kite", "fish"], **more}
    (folder / "data.yaml").write_text(json.dumps(tree))  # which is YAML, too
    for name, split in (("a", "train"), ("b", "val")):
        for part in ("images", "labels"):
            (folder / part / split).mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.png").rename(folder / f"images/{split}/{name}.png")
        (folder / f"labels/{split}/{name}.txt").write_text("\n".join(lines) + "\n")


KITE = " ".join(["0", *(str(number / side) for number, side in zip(BOX, [W, H] * 4))])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"path": "/home/me/datasets/x"},
        {"path": "."},
        {"train": "../train/images", "val": "../images/val"},
        {"train": "/content/data/images/train"},
        {"train": ["images/train"], "names": {0: "kite", 1: "fish"}},
        {"train": "train.txt"},
        {"train": None, "val": None, "Train": "train.txt", "Validation": "images/val", "path": "."},  # CVAT's
    ],
)
def test_yolo_layouts(tmp_path, label, more):
    folder = tmp_path / "export"
    if "../train/images" in more.values():  # as Roboflow writes it
        (folder / "train/images").mkdir(parents=True)
        (folder / "train/labels").mkdir(parents=True)
        yolo(folder, KITE, **more)
        (folder / "images/train/a.png").rename(folder / "train/images/a.png")
        (folder / "labels/train/a.txt").rename(folder / "train/labels/a.txt")
    else:
        yolo(folder, KITE, **more)
        (folder / "train.txt").write_text("data/images/train/a.png\n")
    assert np.array_equal(label("yolo")[0], of_box())
    assert (tmp_path / "mine/train.txt").read_text() == "a\n"


def test_yolo_names_are_taken_as_they_are_written(tmp_path, label):
    folder = tmp_path / "export"
    yolo(folder, KITE)
    names = "[no, Yes, on, 007, 1e3, 2020-01-01, 12:30]"
    text = f"train: images/train\nval: images/val\ntest: null\nnames: {names}\n"
    (folder / "data.yaml").write_text(text)
    assert np.array_equal(label("yolo")[0], of_box())
    written = (tmp_path / "mine/classes.txt").read_text().splitlines()
    assert written == ["background", *names[1:-1].split(", ")]


def test_yolo_labels_are_of_one_image(tmp_path, label):
    folder = tmp_path / "export"
    yolo(folder, KITE)
    picture(folder / "images/train/a.jpg")
    assert f"a.png: {folder}/labels/train/a.txt is of another image, too; rename one" in label("yolo")[1]


def test_yolo_images_with_an_empty_file_are_background_and_without_one_left_out(tmp_path, label):
    folder = tmp_path / "export"
    yolo(folder, KITE)
    for name in "cd":
        picture(folder / f"images/train/{name}.png")
    (folder / "labels/train/c.txt").write_text("")
    _, said = label("yolo")
    assert "1 images without a .txt are left out" in said
    assert "1 images without an object are background" in said
    assert sorted(path.stem for path in (tmp_path / "mine/masks").iterdir()) == ["a", "b", "c"]


def test_yolo_labels_without_an_image_and_images_that_are_not_read_are_told(tmp_path, label):
    folder = tmp_path / "export"
    yolo(folder, KITE)
    for name in ("c", "d", "classes"):
        (folder / f"labels/train/{name}.txt").write_text(KITE)
    (folder / "images/train/d.heic").write_bytes(b"x")
    said = label("yolo")[1]
    assert f"1 .txt without an image are left out, such as {folder}/labels/train/c.txt" in said
    assert "d.txt: .heic is not read; convert it" in said


def test_yolo_a_folder_without_images_is_told(tmp_path, label):
    yolo(tmp_path / "export", KITE, test="more")
    (tmp_path / "export/more").mkdir()
    assert f"left out: test: no image in {tmp_path}/export/more" in label("yolo")[1].splitlines()


def test_yolo_labels_beside_images_elsewhere(tmp_path, label):
    folder = tmp_path / "export"
    yolo(folder, KITE)
    (tmp_path / "photos").mkdir()
    (folder / "images").rename(tmp_path / "photos/images")
    (folder / "images/train").mkdir(parents=True)  # left empty, as some tools do
    assert np.array_equal(label("yolo", ".", "--images", str(tmp_path / "photos"))[0], of_box())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 0.5 0.5 0.2 0.2", "line 1 is a box: export for segmentation"),
        ("7 0 0 1 0 1 1", "line 1 is of class 7, which has no name"),
        ("-1 0 0 1 0 1 1", "line 1 is of class -1, which has no name"),
        ("0 30 20 90 20 90 80", "a coordinate of 90, where 1 is the whole image"),
        ("0 0 nan 1 0 1 1", "no finite number"),
        ("0 0 x 1 0 1 1", "no list of x, y"),
    ],
)
def test_yolo_lines_that_cannot_be_drawn(tmp_path, label, line, reason):
    yolo(tmp_path / "export", KITE)
    picture(tmp_path / "export/images/train/c.png")
    (tmp_path / "export/labels/train/c.txt").write_text(line)
    assert reason in label("yolo")[1]
    assert not (tmp_path / "mine/images/c.png").exists()


# VOC.


def test_voc_of_labelme_has_the_classes_of_class_names_txt(tmp_path):
    root = voc(tmp_path / "export", "P")
    (root / "labelmap.txt").unlink()
    names = ["_background_", *(f"class {n}" for n in range(1, 7))]
    (root / "class_names.txt").write_text("\n".join(names))
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 0
    found = open_split("folder", tmp_path / "mine", "val")
    assert found.classes.names == ("background", *names[1:])
    assert {found.label(i).tobytes() for i in found.ids} == {
        each.label.tobytes() for each in scenes() if each.split == "val"
    }


def test_voc_without_a_labelmap_has_the_classes_of_voc(tmp_path, capsys):
    voc(tmp_path / "VOCdevkit/VOC2012", "L", listed=False)
    assert main(["voc", str(tmp_path), "--output", str(tmp_path / "mine")]) == 0
    assert open_split("folder", tmp_path / "mine", "val").classes.names == VOC2012.names
    assert "nor class_names.txt in" in capsys.readouterr().out


def test_voc_a_mask_with_a_colour_or_a_number_of_no_class_is_left_out(tmp_path, capsys):
    root = voc(tmp_path / "export", "RGB")
    masks = sorted((root / "SegmentationClass").iterdir())
    Image.new("RGB", (160, 120), (1, 2, 3)).save(masks[0])
    Image.new("L", (160, 120), 77).save(masks[1])
    Image.new("L", (160, 100), 0).save(masks[2])
    masks[3].write_bytes(b"no picture")
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    reasons = (
        "(1, 2, 3)",
        "its mask holds 77",
        "at 160 x 100 pixels, its image has 160 x 120",
        "cannot be decoded",
    )
    assert len(lines) == len(reasons)
    assert all(reason in line for reason, line in zip(reasons, lines))


def test_voc_masks_of_black_and_white_need_a_white_class(tmp_path, capsys):
    root = voc(tmp_path / "export", "L")
    for path in (root / "SegmentationClass").iterdir():
        Image.fromarray(np.where(np.array(Image.open(path)) > 0, 255, 0).astype(np.uint8)).save(path)
    (root / "labelmap.txt").write_text("background:0,0,0::\nkite:128,0,0::\n")
    arguments = ["voc", str(root), "--output", str(tmp_path / "mine")]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "no image has a pixel of a class" in said
    assert "SegmentationClass" in said
    assert "labelmap.txt, as in cat:255,255,255::" in said
    assert not (tmp_path / "mine").exists()
    (root / "labelmap.txt").write_text("background:0,0,0::\nkite:255,255,255::\n")
    assert main(arguments) == 0
    found = open_split("folder", tmp_path / "mine", "val")
    assert {int(n) for i in found.ids for n in np.unique(found.label(i))} == {0, 1}


def test_voc_greys_are_numbers_or_the_colours_of_classes(tmp_path, capsys):
    root = voc(tmp_path / "export", "RGB")
    (root / "labelmap.txt").write_text("background:0,0,0::\nkite:128,128,128::\nfish:255,255,255::\n")
    masks = sorted((root / "SegmentationClass").iterdir())
    numbers = np.arange(120 * 160).reshape(120, 160) % 3
    for path, levels in zip(masks, [*[[0, 128, 255]] * 2, [0, 0, 255], [0, 1, 2]]):
        Image.fromarray(np.array(levels, np.uint8)[numbers]).save(path)
    wrong = Image.fromarray(numbers.astype(np.uint8), "P")
    wrong.putpalette([0, 0, 0, 2, 2, 2, 1, 1, 1])
    wrong.save(masks[4])
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 0
    assert f"{masks[4]}: a label with a palette of greys that may be" in capsys.readouterr().out
    found = [np.asarray(Image.open(tmp_path / f"mine/masks/{p.name.replace(' ', '_')}")) for p in masks[:4]]
    assert all(np.array_equal(label, numbers) for label in (found[0], found[1], found[3]))
    assert np.array_equal(found[2], 2 * (numbers == 2))


def test_voc_a_picture_of_a_mask_is_no_photograph(tmp_path, capsys):
    """labelme's converter writes such pictures, of the names of the photographs."""
    root = voc(tmp_path / "export", "P")
    shutil.copytree(root / "JPEGImages", root / "SegmentationClassVisualization")
    gone = scenes()[0].name
    (root / f"JPEGImages/{gone}.jpg").unlink()
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 0
    assert f"no image JPEGImages/{gone} in {root}" in capsys.readouterr().out
    assert len(list((tmp_path / "mine/images").iterdir())) == len(scenes()) - 1


def test_roboflow_takes_no_image_of_another_split(tmp_path, capsys):
    form, make = EXPORTS["roboflow-masks"]
    root = make(tmp_path / "export")
    first = scenes()[0].name
    (root / f"train/{first}.jpg").rename(root / f"valid/{first}.jpg")
    assert main([form, str(root), "--output", str(tmp_path / "mine")]) == 0
    assert f"no image {first} in {root}, and valid/{first}.jpg is another" in capsys.readouterr().out
    assert len((tmp_path / "mine/train.txt").read_text().splitlines()) == 4


# Splits.


def test_a_test_split_stands_in_for_a_val_that_is_missing(tmp_path):
    form, make = EXPORTS["roboflow-coco"]
    root = make(tmp_path / "export")
    (root / "valid").rename(root / "test")
    assert main([form, str(root), "--output", str(tmp_path / "mine")]) == 0
    assert len((tmp_path / "mine/val.txt").read_text().split()) == 2
    assert not (tmp_path / "mine/test.txt").exists()


def test_three_splits_are_three_lists(tmp_path):
    form, make = EXPORTS["roboflow-masks"]
    root = make(tmp_path / "export")
    (root / "test").mkdir()
    for path in (root / "train").glob("*0*"):
        path.rename(root / "test" / path.name)
    (root / "test/_classes.csv").write_text((root / "train/_classes.csv").read_text())
    assert main([form, str(root), "--output", str(tmp_path / "mine")]) == 0
    counts = [len((tmp_path / f"mine/{name}.txt").read_text().split()) for name in ("train", "val", "test")]
    assert counts == [4, 2, 1]


def test_voc_images_in_no_list_go_to_train_and_are_told(tmp_path, capsys):
    root = voc(tmp_path / "export")
    listed = (root / "ImageSets/Segmentation/train.txt").read_text().splitlines()
    lines = [*listed[:-1], "gone"]
    (root / "ImageSets/Segmentation/train.txt").write_text("\n".join(lines))
    (root / "ImageSets/Segmentation/train_val.txt").write_text("\n".join(listed))  # of both
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 0
    said, last = capsys.readouterr().out, listed[-1].replace(" ", "_")
    assert f"1 images, such as {last}, are in no split of the export: they go to train" in said
    assert "train.txt: 1 ids without a mask in SegmentationClass/, such as gone" in said
    assert last in (tmp_path / "mine/train.txt").read_text().splitlines()


def test_voc_an_id_in_two_lists_is_refused(tmp_path, capsys):
    root = voc(tmp_path / "export")
    lists = root / "ImageSets/Segmentation"
    twice = (lists / "train.txt").read_text().splitlines()[0]
    (lists / "val.txt").write_text(f"{(lists / 'val.txt').read_text()}{twice}\n")
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 2
    which = f"1 of its ids, such as {twice}, are in {lists}/train.txt, too"
    assert f"error: {lists}/val.txt: {which}; leave each id in one of the lists" in capsys.readouterr().err


def test_voc_lists_with_a_second_column_and_masks_that_are_no_png(tmp_path, capsys):
    root = voc(tmp_path / "export", "L")
    for path in (root / "ImageSets/Segmentation").iterdir():
        path.write_text("".join(f"{line} 1\n" for line in path.read_text().splitlines()))
    for path in (root / "SegmentationClass").iterdir():
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    assert main(["voc", str(root), "--output", str(tmp_path / "mine")]) == 0
    assert "(5 train, 2 val)" in capsys.readouterr().out


@pytest.mark.parametrize("folders", [("train", "val"), ("x/training", "x/test")])
def test_folders_of_images_say_the_splits_where_nothing_else_does(tmp_path, label, folders):
    tree = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "kite"}]}
    for number, (name, folder) in enumerate(zip("ab", folders)):
        (tmp_path / "export/images" / folder).mkdir(parents=True)
        file = tmp_path / f"export/{name}.png"
        file.rename(tmp_path / "export/images" / folder / file.name)
        tree["images"].append({"id": number, "file_name": f"{folder}/{name}.png"})
        tree["annotations"].append({"image_id": number, "category_id": 1, "segmentation": [BOX]})
    (tmp_path / "export/instances_default.json").write_text(json.dumps(tree))
    assert "(1 train, 1 val)" in label("coco")[1]
    assert (tmp_path / "mine/val.txt").read_text() == "b\n"


# One line and code 2.

REFUSED = {
    "no source": (["coco", "nowhere"], "nowhere: no such file or folder"),
    "no json": (["coco", "empty"], "no .json in this folder"),
    "no instances": (["coco", "captions.json"], "no list of annotations"),
    "panoptic": (["coco", "panoptic.json"], "export instances"),
    "broken json": (["coco", "broken.json"], "cannot be read as JSON"),
    "no labelme": (["labelme", "empty"], "no .json in this folder"),
    "no cvat": (["cvat", "empty"], "no annotations.xml and no SegmentationClass/"),
    "video": (["cvat", "video.xml"], "is of a video; export as 'CVAT for images 1.1'"),
    "entities": (["cvat", "entities.xml"], "declares entities"),
    "other xml": (["cvat", "other.xml"], "is no XML of CVAT"),
    "broken xml": (["cvat", "broken.xml"], "cannot be read as XML"),
    "no yaml": (["yolo", "empty"], "0 YAML files"),
    "no name": (["yolo", "nameless.yaml"], "and has '1: None'; write `0: kite`"),
    "no number": (["yolo", "numberless.yaml"], "and has 'x: kite'; write `0: kite`"),
    "number twice": (["yolo", "twice.yaml"], "names has one number twice"),
    "name twice": (["yolo", "keys.yaml"], "the key 'names.0' is there twice, in lines 2 and 3"),
    "tag": (["yolo", "tag.yaml"], "cannot be read as YAML"),
    "key twice": (["coco", "keys.json"], "'images' is there twice in one object; put both into one"),
    "no names": (["yolo", "data.yaml"], "has no names of classes"),
    "no masks": (["voc", "arrays"], "SegmentationClass: holds no mask (.png, "),
    "boxes": (["voc", "boxes"], "boxes alone (Annotations/) are no masks"),
    "no roboflow": (["roboflow", "empty"], "neither _annotations.coco.json nor _classes.csv"),
    "nothing to read": (["coco", "none.json"], "no image of the export can be read, such as"),
    "no class": (["coco", "nameless.json"], "the export names no class"),
    "no images": (["coco", "none.json", "--images", "nowhere"], "nowhere: no such folder"),
    "output": (["coco", "none.json", "--output", "boxes"], "boxes: exists already"),
    "format": (["cocoa", "none.json"], "invalid choice: 'cocoa'"),
    "flag": (["coco", "none.json", "--copies"], "--copies: unknown; the nearest known one is --copy"),
}  # fmt: skip
INSTANCES = {"images": [{"id": 1, "file_name": "x.png"}], "annotations": [], "categories": []}


REFUSED |= {f"archive, {form}": ([form, "x.zip"], "x.zip: is an archive; unpack it") for form in READERS}
REFUSED |= {
    f"file, {form}": ([form, "none.json"], f"none.json: is a file; give the folder with {what}")
    for form, what in (("labelme", "labelme's JSON"), ("voc", "SegmentationClass/"), ("roboflow", "train/"))
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_at_all_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, capsys, case):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "boxes/Annotations").mkdir(parents=True)
    (tmp_path / "arrays/SegmentationClass").mkdir(parents=True)
    named = {**INSTANCES, "categories": [{"id": 1, "name": "kite"}]}
    content = {
        "x.zip": "PK",
        "captions.json": '{"annotations": 1}',
        "panoptic.json": json.dumps({**named, "annotations": [{"segments_info": []}]}),
        "broken.json": "[" * 100_000,
        "video.xml": "<annotations><track/></annotations>",
        "entities.xml": '<!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>',
        "other.xml": "<annotation/>",
        "broken.xml": "<annotations>",
        "data.yaml": "train: images",
        "nameless.yaml": "names: [kite, ~]",
        "numberless.yaml": "names: {0: fish, x: kite}",
        "twice.yaml": "names: {0: fish, 00: kite}",
        "keys.yaml": "names:\n  0: fish\n  0: kite\n",
        "tag.yaml": 'names: !!float ""',
        "keys.json": '{"images": [], "images": []}',
        "none.json": json.dumps(named),
        "nameless.json": json.dumps(INSTANCES),
    }
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    flags, reason = REFUSED[case]
    assert main(flags if "--output" in flags else [*flags, "--output", "mine"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if line.startswith("error: ")] == errors[-1:]
    assert reason in errors[-1]
    assert sorted(tmp_path.rglob("*")) == before
