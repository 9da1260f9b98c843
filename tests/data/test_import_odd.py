"""What annotations hold that is odd: it is read as it is meant, or left out with its reason."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from own_set import save_with_orientation
from PIL import Image

from rws.data import open_split
from rws.data.import_ import __main__ as command
from rws.data.import_.__main__ import main
from rws.data.reading import Reading

H, W = 12, 16
HALF = Reading(val_share=0.5)
BOX = [3, 2, 9, 2, 9, 8, 3, 8]  # x, y: the pixels of columns 3 to 8 and rows 2 to 7


def of_box(
    top: int = 2, bottom: int = 8, left: int = 3, right: int = 9, size=(H, W), number: int = 1
) -> np.ndarray:
    label = np.zeros(size, np.uint8)
    label[top:bottom, left:right] = number
    return label


def picture(path: Path, size=(H, W)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(list(str(path).encode())).integers(0, 255, (*size, 3), np.uint8)
    Image.fromarray(noise).save(path)
    return path


class Coco:
    """A COCO export to spoil: images a.png, b.png and c.png with a box of class kite each."""

    def __init__(self, root: Path):
        self.root, names = root, ("a.png", "b.png", "c.png")
        for name in names:
            picture(root / name)
        sizes = {"height": H, "width": W}
        self.images = [{"id": n, "file_name": name, **sizes} for n, name in enumerate(names)]
        self.categories = [{"id": 1, "name": "kite"}, {"id": 2, "name": "fish"}]
        self.annotations = [self.object(n) for n in range(3)]

    def object(self, image: int, form=(BOX,), category: int = 1, **more) -> dict:
        form = list(form) if isinstance(form, tuple) else form
        return {"id": 7, "image_id": image, "category_id": category, "segmentation": form, **more}

    def run(self, *flags, name: str = "instances.json") -> int:
        tree = {"images": self.images, "annotations": self.annotations, "categories": self.categories}
        (self.root / name).write_text(json.dumps(tree))
        return main(["coco", str(self.root), "--output", str(self.root.parent / "mine"), *flags])

    def labels(self, reading: Reading = HALF) -> dict[str, np.ndarray]:
        splits = [
            open_split("folder", self.root.parent / "mine", name, reading=reading)
            for name in ("train", "val")
        ]
        return {image_id: split.label(image_id) for split in splits for image_id in split.ids}


@pytest.fixture
def coco(tmp_path) -> Coco:
    return Coco(tmp_path / "export")


def test_a_box_covers_its_pixels(coco, capsys):
    assert coco.run() == 0
    assert all(np.array_equal(label, of_box()) for label in coco.labels().values())
    assert capsys.readouterr().out.splitlines() == [
        f"{coco.root.parent / 'mine'}: 3 images (no lists: val is drawn from all of them), 3 classes: "
        "background, kite, fish",
        f"look at it: rws check --config folder --data.root {coco.root.parent / 'mine'}",
    ]


def test_the_later_object_wins_and_the_pixels_are_counted(coco, capsys):
    coco.annotations.append(coco.object(0, ([6, 2, 12, 2, 12, 8, 6, 8],), 2))
    assert coco.run() == 0
    expected = of_box()
    expected[2:8, 6:12] = 2
    assert np.array_equal(coco.labels()["a"], expected)
    assert (
        "objects of two classes overlap: 18 pixels in 1 images have the class of the later one"
        in capsys.readouterr().out
    )


def test_a_crowd_lies_below_the_objects_in_it(coco):
    whole = {"size": [H, W], "counts": [0, H * W]}
    coco.annotations.append(coco.object(0, whole, 2, iscrowd=1))
    assert coco.run() == 0
    assert np.array_equal(coco.labels()["a"], np.where(of_box() == 1, 1, 2))


@pytest.mark.parametrize(("attributes", "below"), [({"occluded": False}, False), ({"is_crowd": True}, True)])
def test_what_is_painted_in_cvat_is_no_crowd_unless_it_is_called_so(coco, attributes, below):
    """Its COCO calls each painted mask a crowd, in the order in which things lie above each other."""
    whole = {"size": [H, W], "counts": [0, H * W]}
    coco.annotations[0]["attributes"] = {"occluded": False}
    coco.annotations.append(coco.object(0, whole, 2, iscrowd=1, attributes=attributes))
    assert coco.run() == 0
    expected = np.where(of_box() == 1, 1, 2) if below else np.full((H, W), 2)
    assert np.array_equal(coco.labels()["a"], expected)


def test_the_class_that_roboflow_puts_above_all_others_is_none(coco):
    """Also where it has the name of one of them."""
    coco.categories = [
        {"id": 0, "name": "kite", "supercategory": "none"},
        {"id": 1, "name": "kite", "supercategory": "kite"},
        {"id": 2, "name": "fish", "supercategory": "kite"},
    ]
    coco.annotations[1]["category_id"] = 2
    assert coco.run() == 0
    assert (coco.root.parent / "mine/classes.txt").read_text().split() == ["background", "kite", "fish"]
    assert np.array_equal(coco.labels()["b"], of_box(number=2))


def test_what_tools_leave_empty_is_no_obstacle(coco):
    coco.images[0] |= {"license": None, "coco_url": None, "date_captured": None}
    coco.annotations[0] |= {"iscrowd": None, "area": None, "bbox": None, "score": None}
    coco.categories[0]["supercategory"] = None
    assert coco.run() == 0
    assert np.array_equal(coco.labels()["a"], of_box())


def test_parts_of_one_object_and_a_part_outside_of_the_image(coco):
    coco.annotations[0] = coco.object(0, (BOX, [-5, -5, 2, -5, 2, 1, -5, 1], [90, 90, 99, 90, 99, 99]))
    assert coco.run() == 0
    expected = of_box()
    expected[:1, :2] = 1
    assert np.array_equal(coco.labels()["a"], expected)


def test_an_object_too_small_for_a_pixel_is_told(coco, capsys):
    coco.annotations.append(coco.object(0, ([5.6, 5.6, 6.4, 5.6, 6.4, 6.4],), 2))
    assert coco.run() == 0
    assert np.array_equal(coco.labels()["a"], of_box())
    place = f"{coco.root}/instances.json: image a.png"
    said = f"objects too small to cover a pixel are left out in 1 images, such as {place}"
    assert said in capsys.readouterr().out.splitlines()


def test_an_annotated_image_without_object_is_background_and_one_that_is_not_listed_is_left_out(coco, capsys):
    picture(coco.root / "d.png")
    coco.annotations.pop()
    assert coco.run() == 0
    assert not coco.labels()["c"].any()
    assert sorted(coco.labels()) == ["a", "b", "c"]
    said = capsys.readouterr().out
    assert "1 images without an annotation are left out" in said
    assert "1 images without an object are background (--skip-empty leaves them out)" in said


def test_an_export_without_any_object_is_refused(coco, capsys):
    coco.annotations = []
    assert coco.run() == 2
    assert "no image has an object: annotate some" in capsys.readouterr().err
    assert not (coco.root.parent / "mine").exists()


@pytest.mark.parametrize(("count", "code"), [(253, 0), (254, 2), (255, 2), (256, 2), (300, 2)])
def test_as_many_classes_as_labels_hold(coco, capsys, count, code):
    coco.categories = [{"id": n, "name": f"class {n}"} for n in range(count)]
    assert coco.run() == code
    if code:
        said = f"the export names {count} classes beside background; labels of 8 bits hold 253: export fewer"
        assert said in capsys.readouterr().err


def test_images_without_object_are_left_out_on_demand(coco, capsys):
    coco.annotations.pop()
    assert coco.run("--skip-empty") == 0
    assert sorted(coco.labels()) == ["a", "b"]
    assert "1 images without an object are left out" in capsys.readouterr().out


def test_names_in_two_letter_cases_are_told_and_odd_names_made_plain(coco, capsys):
    coco.categories = [
        {"id": 1, "name": "Kite"},
        {"id": 2, "name": "kite"},
        {"id": 3, "name": "a, b\n\x1b c"},
    ]
    assert coco.run() == 0
    assert (
        "Kite and kite differ in letter case alone, and are classes of their own" in capsys.readouterr().out
    )
    classes = (coco.root.parent / "mine/classes.txt").read_text(encoding="utf-8")
    assert classes == "background\nKite\nkite\na b c\n"


def test_a_class_background_is_background(coco):
    coco.categories[0]["name"] = "_background_"
    coco.annotations += [coco.object(1, ([0, 0, 2, 0, 2, 2, 0, 2],), 2)]
    assert coco.run() == 0
    assert np.array_equal(coco.labels()["b"], of_box(0, 2, 0, 2))


def runs(counts: object, size=(H, W)) -> dict:
    return {"size": list(size), "counts": counts}


# What stands in place of an outline, and what is said of it.
LEFT_OUT = {
    "no number": (([3, 2, float("nan"), 2, 9, 8],), "no finite number"),
    "infinite": (([3, 2, float("inf"), 2, 9, 8],), "no finite number"),
    "far outside": (([3, 2, 1e300, 2, 9, 8],), "a coordinate of 1e+300 pixels"),
    "outside": (([20, 2, 29, 2, 29, 8, 20, 8],), "its kite lies outside of the image"),
    "above": (([3, -8, 9, -8, 9, -2, 3, -2], [3, 90, 9, 90, 9, 99]), "its kite lies outside of the image"),
    "odd": (([3, 2, 9, 2, 9, 8, 1],), "no list of x, y"),
    "words": ((["a", "b"],), "no list of x, y"),
    "nothing": ((), "annotation 7 has a box and no outline"),
    "size of runs": (runs([0, 5], (W, H)), "a mask of [16, 12], its image of [12, 16]"),
    "too many": (runs([0, H * W + 1]), "do not fit the size"),
    "negative": (runs([5, -5]), "do not fit the size"),
    "wrapping": (runs([2**63 - 1, 2**63 - 1, 2]), "do not fit the size"),
    "huge": (runs([10**30]), "do not fit the size"),
    "fractions": (runs([1.5, 2]), "no whole numbers"),
    "runs of words": (runs(["a"]), "no whole numbers"),
    "compressed": (runs("\x07é"), "a character that cannot be"),
    "cut off": (runs("o"), "cut off"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_an_image_with_an_object_that_cannot_be_drawn_is_left_out(coco, capsys, case):
    form, reason = LEFT_OUT[case]
    coco.annotations[0] = coco.object(0, form)
    assert coco.run() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert len(lines) == 1
    assert reason in lines[0]
    assert "image a.png" in lines[0]
    assert sorted(coco.labels()) == ["b", "c"]


def test_images_of_one_id_are_left_out(coco, capsys):
    """Whose objects are whose is not known; all were given to the first."""
    picture(coco.root / "d.png")
    coco.images.append({"id": 0, "file_name": "d.png"})
    assert coco.run() == 0
    assert sorted(coco.labels()) == ["b", "c"]
    said = capsys.readouterr().out
    assert all(f"image {n}.png: its id 0 is that of another image, too" in said for n in "ad")


def test_ids_as_text_are_those_as_numbers(coco):
    for annotation in coco.annotations:
        annotation |= {name: str(annotation[name]) for name in ("image_id", "category_id")}
    assert coco.run() == 0
    assert all(np.array_equal(label, of_box()) for label in coco.labels().values())


def test_json_files_that_are_not_read_are_told(coco, capsys):
    (coco.root / "more.json").write_text("{}")
    assert coco.run() == 0
    said = "1 JSON files without instances or coco in their name are not read, such as"
    assert f"{said} {coco.root}/more.json" in capsys.readouterr().out


def test_an_object_of_a_category_without_a_name(coco, capsys):
    coco.annotations[0] = coco.object(0, category=99)
    assert coco.run() == 0
    assert "annotation 7 is of category 99, which has no name" in capsys.readouterr().out
    assert sorted(coco.labels()) == ["b", "c"]


@pytest.mark.parametrize("form", [([3, 2, 9, 2],), ([],), ([3, 2], [5, 5, 6, 6])])
def test_an_outline_of_fewer_than_three_points_covers_nothing_and_is_told(coco, capsys, form):
    coco.annotations.append(coco.object(0, form, 2))
    assert coco.run() == 0
    assert np.array_equal(coco.labels()["a"], of_box())
    assert (
        "annotation 7 has an outline of fewer than 3 points; the image is read without it"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("gone.png", "no image gone.png in"),
        ("../secret.png", "no image ../secret.png in"),
        ("/etc/passwd", "no image /etc/passwd in"),
        ("x/d.png", "no image x/d.png in"),
        ("..", "the name of its image is missing"),
        (None, "the name of its image is missing"),
        (["a.png"], "the name of its image is missing"),
        ("a\0.png", "no image a\\x00.png in"),
        ("b.png", "too; the first one counts"),
    ],
)
def test_images_are_found_in_the_source_alone(coco, capsys, name, reason):
    picture(coco.root.parent / "secret.png")
    picture(coco.root / "y/d.png")
    coco.images[2]["file_name"] = name
    assert coco.run() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert reason in lines[0]
    assert sorted(coco.labels()) == ["a", "b"]


@pytest.mark.parametrize(
    "path",
    [
        "C:\\Users\\me\\photos\\c.png",
        "..\\..\\label-studio\\media\\upload\\4\\c.png",
        "/data/local-files/?d=photos/c.png",
        "/data/local-files/?d=c.png",
    ],
)
def test_a_path_of_another_machine_is_found_by_its_name(coco, path):
    coco.images[2]["file_name"] = path
    assert coco.run() == 0
    assert sorted(coco.labels()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "other", "there"),
    [
        ("x/c.png", "c.png", "x/e.png"),
        ("data/x/c.png", "x/c.png", "data/x/e.png"),
        ("C:\\photos\\x\\c.png", "y/c.png", "x/e.png"),
        ("../x/c.png", "y/c.png", "more/x/z/e.png"),
        ("c.png", "val/c.png", "train/e.png"),
    ],
)
def test_an_image_of_the_same_name_in_another_folder_is_another(coco, capsys, name, other, there):
    """Where the folder that the annotation names, or one of its split, is there without the image."""
    (coco.root / "c.png").unlink()
    picture(coco.root / other)
    picture(coco.root / there)
    coco.images[2]["file_name"] = name
    assert coco.run(name="instances_train.json") == 0
    assert f"no image {name} in {coco.root}, and {other} is another (--images" in capsys.readouterr().out
    assert sorted(coco.labels()) == ["a", "b"]


def test_files_of_one_name_in_folders(coco, capsys):
    for folder in ("x", "y"):
        picture(coco.root / folder / "d.png")
        number = len(coco.images)
        coco.images.append({"id": number, "file_name": f"{folder}/d.png", "height": H, "width": W})
        coco.annotations.append(coco.object(number, category=2))
    coco.images.append({"id": 9, "file_name": "d.png"})
    assert coco.run() == 0
    assert sorted(coco.labels()) == ["a", "b", "c", "x-d", "y-d"]
    assert "d.png may be x/d.png or y/d.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["ö ä.png", "写真 1.png", "a..b.png", "e\u0301\u2028.png", "n" * 240 + ".png", "w 1.png"]
)
def test_odd_names_of_files(coco, name):
    (coco.root / "c.png").rename(coco.root / name)
    coco.images[2]["file_name"] = name
    coco.images.pop(0)
    assert coco.run() == 0
    assert len(coco.labels()) == 2
    assert all(np.array_equal(label, of_box()) for label in coco.labels().values())


@pytest.mark.parametrize(("size", "said"), [((W, H), "12 x 16"), ((10**9, 10**9), "1000000000 x 1000000000")])
def test_a_size_that_is_not_the_images(coco, capsys, size, said):
    coco.images[0] |= {"height": size[0], "width": size[1]}
    assert coco.run() == 0
    assert f"is annotated at {said} pixels, its image has 16 x 12" in capsys.readouterr().out
    assert sorted(coco.labels()) == ["b", "c"]


def test_images_are_linked_or_copied(coco):
    assert coco.run() == 0
    link = coco.root.parent / "mine/images/a.png"
    assert link.is_symlink()
    assert link.resolve() == (coco.root / "a.png").resolve()
    os.rename(coco.root.parent / "mine", coco.root.parent / "before")
    assert coco.run("--copy") == 0
    assert not link.is_symlink()
    assert link.read_bytes() == (coco.root / "a.png").read_bytes()


def test_images_elsewhere(coco):
    for path in coco.root.glob("*.png"):
        (coco.root.parent / "photos").mkdir(exist_ok=True)
        path.rename(coco.root.parent / "photos" / path.name)
    assert coco.run("--images", str(coco.root.parent / "photos")) == 0
    assert sorted(coco.labels()) == ["a", "b", "c"]


def test_nothing_is_half_written(coco, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert coco.run() == 2
    assert [path.name for path in coco.root.parent.iterdir()] == ["export"]


def test_more_than_twenty_lines_are_counted(coco, capsys):
    coco.images += [{"id": 100 + n, "file_name": f"gone{n}.png"} for n in range(30)]
    assert coco.run() == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out: ")]
    assert len(lines) == command.MOST_LINES + 1
    assert lines[-1] == "left out: 10 more"


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("drawn_on", ["shown", "stored"])
@pytest.mark.parametrize("shape", ["long", "square"])
@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_images_that_exif_turns(coco, orientation, drawn_on, shape, name):
    """The mask is that of the image as it is shown, whichever the box was drawn on."""
    size = (H, W) if shape == "long" else (W, W)
    shown = np.zeros((*size, 3), np.uint8)
    shown[2:8, 3:9] = 255
    path = coco.root / name
    save_with_orientation(path, shown, orientation)
    drawn = shown if drawn_on == "shown" else turned_back(shown, orientation)
    rows, columns = np.flatnonzero(drawn.any((1, 2))), np.flatnonzero(drawn.any((0, 2)))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    box = [left, top, right, top, right, bottom, left, bottom]
    coco.annotations[0] = coco.object(0, ([int(number) for number in box],))
    coco.images[0] |= {"file_name": name, "height": drawn.shape[0], "width": drawn.shape[1]}
    assert coco.run("--orientation", drawn_on) == 0
    splits = [open_split("folder", coco.root.parent / "mine", name) for name in ("train", "val")]
    split = next(split for split in splits if "a" in split.ids)
    assert np.array_equal(split.label("a"), of_box(size=size))
    assert np.array_equal(np.asarray(split.image("a")), shown)


def turned_back(shown: np.ndarray, orientation: int) -> np.ndarray:
    """The stored pixels, as `save_with_orientation` writes them."""
    return {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](shown)
