import subprocess
import sys

import pytest
from tiny import REPOSITORY

from rws.data.classes import VOC2012
from rws.data.sets.voc import read_list

TOOL = REPOSITORY / "tools" / "make_class_lists.py"
COMMITTED = REPOSITORY / "FWM_datalist_20Class"


def run(tmp_path, *arguments):
    command = [sys.executable, str(TOOL), "--out", str(tmp_path / "lists"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)


def test_writes_the_lists_of_twenty_classes_without_images(voc, tmp_path):
    voc.list("train", "cba")
    voc.list("val", "a")
    for image in (voc.root / "JPEGImages").iterdir():
        image.unlink()
    (voc.root / "JPEGImages").rmdir()
    done = run(tmp_path, "--root", voc.root)
    assert done.returncode == 0, done.stderr
    files = {
        path.relative_to(tmp_path / "lists").as_posix(): path for path in (tmp_path / "lists").rglob("*.txt")
    }
    expected = {f"{name}/{split}_{name}_list.txt" for name in VOC2012.names[1:] for split in ("train", "val")}
    assert files.keys() == expected
    # Values 1 and 2 of the small set are VOC's aeroplane and bicycle.
    assert files["aeroplane/train_aeroplane_list.txt"].read_bytes() == b"b\na\n"
    assert files["bicycle/train_bicycle_list.txt"].read_bytes() == b"c\n"
    assert files["bicycle/val_bicycle_list.txt"].read_bytes() == b""


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("--root", "nowhere"), "no such folder"),
        (("--root", "set"), "no list val.txt"),
        (("--root", "set", "--val-list", "absent"), "absent.txt"),
        (("--root", "set", "--val-list", "unlabelled"), "zz.png"),
        (("--root", "set", "--val-list", "other"), "odd.png: label values [77]"),
    ],
)
def test_wrong_input_is_one_line_and_code_two(voc, tmp_path, arguments, part):
    voc.pair("odd", 77)
    voc.list("other", ["odd"])
    voc.list("unlabelled", ["a", "zz"])
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert part in last
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "lists").exists()


def test_committed_lists_are_complete():
    sizes = {}
    for name in VOC2012.names[1:]:
        for split in ("train", "val"):
            sizes[name, split] = len(read_list(COMMITTED / name / f"{split}_{name}_list.txt"))
    assert len(list(COMMITTED.rglob("*.txt"))) == 40
    # The numbers of images that PASCAL publishes for the segmentation task.
    assert (sizes["cat", "train"], sizes["cat", "val"]) == (131, 119)
    assert (sizes["dog", "train"], sizes["dog", "val"]) == (121, 128)
    assert (sizes["cow", "train"], sizes["cow", "val"]) == (64, 71)
    assert (sizes["aeroplane", "train"], sizes["aeroplane", "val"]) == (88, 90)


def test_tool_reproduces_the_committed_lists(real_set, tmp_path):
    root = real_set("voc2012")
    names = (
        ("train_all", "val_all")
        if (root / "ImageSets/Segmentation/train_all.txt").is_file()
        else ("train", "val")
    )
    done = run(tmp_path, "--root", root, "--train-list", names[0], "--val-list", names[1])
    assert done.returncode == 0, done.stderr
    made = {path.name: path.read_bytes() for path in (tmp_path / "lists").rglob("*.txt")}
    assert made == {path.name: path.read_bytes() for path in COMMITTED.rglob("*.txt")}


@pytest.mark.parametrize(
    ("category", "photographs"), [("cat", (131, 119)), ("dog", (119, 125)), ("cow", (60, 70))]
)
def test_photographs_of_the_shared_subset(real_set, category, photographs):
    """The subset leaves out pictures that also show a horse or a sheep; all others of the lists are there."""
    root = real_set("voc2012")
    for split, count in zip(("train", "val"), photographs):
        ids = read_list(COMMITTED / category / f"{split}_{category}_list.txt")
        there = sum((root / "JPEGImages" / f"{image_id}.jpg").is_file() for image_id in ids)
        assert there in (count, len(ids))
