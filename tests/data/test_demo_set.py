import hashlib

import numpy as np
import pytest
from PIL import Image

from rws.data import open_split
from rws.data.check import check_split
from rws.data.classes import DEMO
from rws.data.sets import demo
from rws.data.sets.demo_shapes import OBJECTS
from rws.errors import UserError


def digests(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def draw(root, seed=0, train=4, val=2):
    return demo.generate(root, seed, train=train, val=val, progress=False)


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("demo") / "set", train=20, val=5)


def test_same_seed_gives_the_same_bytes(tmp_path):
    first, second = digests(draw(tmp_path / "a")), digests(draw(tmp_path / "b"))
    assert first == second
    assert len(first) == 2 * 6 + 2
    other = digests(draw(tmp_path / "c", seed=1))
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first if not name.endswith(".txt"))


def test_an_image_does_not_depend_on_how_many_are_drawn(tmp_path, some):
    few = draw(tmp_path / "few", train=2, val=1)
    for name in ("JPEGImages/train_0001.jpg", "SegmentationClass/train_0001.png", "JPEGImages/val_0000.jpg"):
        assert (few / name).read_bytes() == (some / name).read_bytes()


def test_layout_modes_sizes_and_values(some):
    for split, count in (("train", 20), ("val", 5)):
        opened = open_split("demo", some, split)
        report = check_split(opened, progress=False)
        assert (report.images, report.sizes, report.ignored_pixels) == (count, {(120, 160): count}, 0)
        assert (report.pixels > 0).all()
    with Image.open(opened.label_path(opened.ids[0])) as label:
        assert (label.mode, label.getpalette()) == ("P", DEMO.flat_palette())
    assert not set(open_split("demo", some, "train").ids) & set(opened.ids)


def test_each_image_shows_its_main_class(some):
    split = open_split("demo", some, "train")
    for index, image_id in enumerate(split.ids):
        assert np.count_nonzero(split.label(image_id) == 1 + index % 5) >= 150


def test_objects_have_thin_parts(some):
    """Of the objects' pixels a good share is lost when the labels are opened with a 5 x 5 window."""
    import cv2

    split = open_split("demo", some, "train")
    whole = thin = 0
    for image_id in split.ids:
        mask = (split.label(image_id) > 0).astype(np.uint8)
        bulky = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
        whole, thin = whole + int(mask.sum()), thin + int((mask & ~bulky).sum())
    assert 0.1 < thin / whole < 0.7


def test_shapes_are_named_like_the_classes():
    assert tuple(shape.__name__ for shape in OBJECTS) == DEMO.names[1:]


def test_missing_demo_set_is_generated_and_category_works(tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "TRAIN_IMAGES", 6)
    original = demo.generate
    monkeypatch.setattr(demo, "generate", lambda root: original(root, train=6, val=2, progress=False))
    root = tmp_path / "data" / "demo"
    assert len(open_split("demo", root, "train")) == 6
    fish = open_split("demo", root, "train", category="fish")
    assert "train_0001" in fish.ids
    assert all((fish.label(image_id) == 1).any() for image_id in fish.ids)


def test_full_counts_are_the_default():
    assert (demo.TRAIN_IMAGES, demo.VAL_IMAGES) == (240, 80)
    assert demo.generate.__kwdefaults__["train"] == 240


def test_interrupted_generation_leaves_nothing(tmp_path, monkeypatch):
    original, calls = demo.scene, []

    def interrupted(*arguments, **named):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    monkeypatch.setattr(demo, "scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        draw(tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_existing_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("photographs")
    assert demo.main(["--root", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "exists already" in error
    assert error.count("\n") == 1
    with pytest.raises(UserError, match="exists already"):
        draw(tmp_path)
    assert (tmp_path / "mine").read_text() == "photographs"


def test_a_faster_process_wins_and_its_set_is_kept(tmp_path, monkeypatch):
    original = demo._write_set

    def slow(root, *arguments):
        original(root, *arguments)
        monkeypatch.setattr(demo, "_write_set", original)
        draw(tmp_path / "set")

    monkeypatch.setattr(demo, "_write_set", slow)
    draw(tmp_path / "set")
    assert len(digests(tmp_path / "set")) == 14
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
