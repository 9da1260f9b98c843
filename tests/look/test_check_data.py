"""--check-data as a person runs it: what it says and writes, for good sets and for each known trap."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import LAYOUTS, save
from PIL import Image
from tiny import load_script

from rws.core.cam import seg_grad_cam
from rws.data import DATASETS, Reading, open_split
from rws.data.check import WORTH_PROCESSES, check_split, pool_for, scan_split
from rws.data.transforms import Geometry, Normalisation, to_tensors, train_transform
from rws.method.cams import CamNetwork
from rws.training.evaluation import confusion_matrix
from rws.training.optimization import segmentation_loss

train = load_script("train")


@pytest.fixture
def check(tmp_path, capsys):
    """Runs train.py --check-data on a set; returns the exit code, what it said, its one error line."""

    def run(name: str, root: Path, *flags: str) -> tuple[int, str, str]:
        (tmp_path / "c.yaml").write_text(f"runs: {tmp_path / 'runs'}\ndata: {{partial: true}}\n")
        capsys.readouterr()
        command = ["--config", str(tmp_path / "c.yaml"), "--check-data", "--data.name", name]
        code = train.main([*command, "--data.root", str(root), *flags])
        said = capsys.readouterr()
        lines = [line.rsplit("\r", 1)[-1] for line in said.err.split("\n")]
        errors = [line for line in lines if line.strip()]
        assert len(errors) == (code != 0)
        return code, said.out, "".join(errors)

    return run


def test_a_good_set_ends_with_what_to_try_and_a_faulty_one_does_not(check, tmp_path):
    """Four images of 48x64 are too few for any class, and crops of 480 pixels would enlarge them."""
    layout = LAYOUTS["camvid"]
    root = layout.make(tmp_path / "set")
    code, said, _ = check(layout.name, root)
    lines = [line for line in said.splitlines() if line.startswith("suggestion: ")]
    assert code == 0
    assert lines[0].startswith(
        'suggestion: --data.base-size 48 --data.crop-size "[64, 64]": the median image'
    )
    assert any(line.startswith("suggestion: too rare to learn: ") for line in lines)
    next(root.rglob("*.png")).write_bytes(b"")
    code, said, _ = check(layout.name, root)
    assert code != 0
    assert "suggestion" not in said


@pytest.mark.parametrize("key", LAYOUTS)
def test_a_good_set_is_described_and_drawn(check, tmp_path, key):
    layout = LAYOUTS[key]
    root = layout.make(tmp_path / "set")
    code, said, _ = check(layout.name, root)
    assert code == 0
    folder = tmp_path / "runs/check_data" / layout.name
    assert f"samples and report: {folder}" in said
    report = json.loads((folder / "report.json").read_text())
    assert report["faults"] == []
    for split, images in (("train", 4), ("val", 2)):
        found = report["splits"][split]
        assert (found["images"], found["sizes"]) == (images, {"48x64": images})
        labels = [label for s, *_, label in layout.drawn() if s == split]
        pixels = {i: sum(int((label == i).sum()) for label in labels) for i in layout.numbers}
        void = sum(int((label == 255).sum()) for label in labels)
        if key == "davis2016":
            pixels[0], void = pixels[0] + void, 0
        names = list(found["pixels"])
        assert {names.index(n): count for n, count in found["pixels"].items() if count} == pixels
        assert found["ignored_pixels"] == void
        holding = {i: sum(bool((label == i).any()) for label in labels) for i in layout.numbers}
        assert {names.index(n): count for n, count in found["images_holding"].items() if count} == holding
        with Image.open(folder / f"samples_{split}.png") as picture:
            assert picture.width == 1600
    assert not [path for path in root.rglob("*") if path.suffix == ".json"]


def test_the_processes_of_a_large_set_give_the_same_report(tmp_path):
    split = open_split("ade20k", LAYOUTS["ade20k"].make(tmp_path / "set"), "train")
    with pool_for(WORTH_PROCESSES) as pool:
        assert isinstance(pool, ProcessPoolExecutor)
        scan = scan_split(split, pool, progress=False)
    report, alone = scan.report, check_split(split, progress=False)
    assert scan.faults == []
    assert (report.pixels == alone.pixels).all()
    assert (report.holding == alone.holding).all()
    assert report.good == split.ids


def test_every_kind_of_fault_is_told_and_the_first_is_the_error(check, tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    (root / "masks/aachen_train_000000.png").unlink()
    (root / "images/aachen_train_000001.jpg").write_text("no image")
    save(root / "masks/aachen_val_000000.png", np.full((48, 64), 9, np.uint8))
    save(root / "masks/aachen_val_000001.png", np.zeros((40, 64), np.uint8))
    code, said, error = check("folder", root)
    assert code == 2
    faults = [line for line in said.splitlines() if line.startswith("fault: ")]
    wanted = ["without label in masks", "cannot be decoded: aachen_train_000001.jpg", "another size"]
    wanted += ["label values outside the classes 0..2 and 255: aachen_val_000000.png (9)"]
    assert all(part in fault for part, fault in zip(wanted, faults, strict=True))
    assert error == f"error: {faults[0].removeprefix('fault: ')}"
    record = json.loads((tmp_path / "runs/check_data/folder/report.json").read_text())
    assert [f"fault: {fault}" for fault in record["faults"]] == faults


def test_the_same_image_in_both_splits_is_a_fault(check, tmp_path):
    root = LAYOUTS["ade20k"].make(tmp_path / "set")
    images = root / "ADEChallengeData2016/images"
    source = images / "training/aachen_train_000002.jpg"
    (images / "validation/aachen_val_000001.jpg").write_bytes(source.read_bytes())
    code, _, error = check("ade20k", root)
    assert code == 2
    assert "1 images of val are in train too, byte for byte: aachen_train_000002 = aachen_val_000001" in error


def test_a_part_of_a_set_is_a_fault_unless_it_is_allowed(check, tmp_path):
    root = LAYOUTS["cityscapes"].make(tmp_path / "set")
    code, said, error = check("cityscapes", root, "--data.partial=false")
    assert code == 2
    assert "train: 4 images (2,975 images published)" in said
    assert "train has 4 images, the official set 2,975" in error
    assert f"fault: {root}: val has 2 images, the official set 500" in said


def test_pictures_are_never_written_under_the_data_root(check, tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    before = sorted(root.rglob("*"))
    code, _, error = check("folder", root, "--runs", str(root / "runs"))
    assert code == 2
    assert "lies inside the data root" in error
    assert sorted(root.rglob("*")) == before


# The traps that users fall into; see USERS.md for where.


def test_b_08_one_ignored_value_counts_in_no_part_of_a_run():
    """Loss, metric, maps, slices and padding take it from the data set's classes."""
    torch.manual_seed(0)
    classes = DATASETS["cityscapes"]
    ignored = classes.ignore_index
    label = torch.randint(0, 19, (1, 8, 8))
    label[0, :, :3] = ignored
    logits = torch.randn(1, 19, 8, 8)
    known = torch.nn.functional.cross_entropy(logits[..., 3:], label[..., 3:])
    assert torch.allclose(segmentation_loss({"out": logits}, label, ignored, 0.0), known)
    metric = confusion_matrix(19, ignored)
    metric.update(logits.argmax(1), label)
    assert metric.compute().sum() == 8 * 5
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Conv2d(4, 19, 1))
    wrapped = type("Net", (torch.nn.Module,), {"forward": lambda self, x: {"out": network(x)}})()
    wrapped.add_module("network", network)
    scored = CamNetwork(wrapped, ("network.0",), classes)
    assert (scored.is_foreground(label) == (label != ignored)).all()
    maps = seg_grad_cam(wrapped, scored.stages, torch.randn(1, 3, 8, 8), label, classes.foreground).maps
    assert maps[0, 0][label[0] == ignored].abs().sum() == 0
    assert maps.max() > 0
    transform = train_transform(
        Geometry(8, (32, 32), (1.0, 1.0), 0.0), Normalisation((0.5,) * 3, (0.5,) * 3), ignored
    )
    image, mask = to_tensors(Image.new("RGB", (8, 8)), label[0].numpy().astype(np.uint8))
    padded = transform(image, mask)[1]
    assert (padded == ignored).sum() == 32 * 32 - 8 * 5, "padding is ignored, and so is what was"


def test_b_09_masks_of_0_and_255_are_refused(check, tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    (root / "classes.txt").write_text("background\nwater\n")
    for path in (root / "masks").iterdir():
        save(path, np.where(np.array(Image.open(path)) == 1, 255, 0).astype(np.uint8))
    code, _, error = check("folder", root)
    assert code == 2
    assert "hold 0 and 255 only, and 255 counts nowhere; write 1 for the class" in error


def in_colours(root: Path) -> None:
    """Replace the masks by coloured ones, in the colours of the set's classes, ignored pixels black."""
    (root / "classes.txt").write_text("sky, 10, 10, 200\nkite, 128, 0, 0\nfish, 10, 20, 30\n")
    colours = np.zeros((256, 3), np.uint8)
    colours[:3] = (10, 10, 200), (128, 0, 0), (10, 20, 30)
    for path in (root / "masks").iterdir():
        save(path, colours[np.array(Image.open(path))])


def test_b_09_labels_in_colours_are_refused_or_converted_by_the_palette(check, tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    before = {path.name: np.array(Image.open(path)) for path in (root / "masks").iterdir()}
    in_colours(root)
    code, _, error = check("folder", root)
    assert code == 2
    assert "label in colours" in error
    assert "--data.convert-rgb-labels" in error
    assert check("folder", root, "--data.convert-rgb-labels")[0] == 0
    for split in ("train", "val"):
        opened = open_split("folder", root, split, reading=Reading(convert_rgb_labels=True))
        for image_id in opened.ids:
            assert np.array_equal(opened.label(image_id), before[f"{image_id}.png"])


def test_b_09_an_unknown_colour_is_named_with_its_place(check, tmp_path):
    root = LAYOUTS["folder"].make(tmp_path / "set")
    in_colours(root)
    path = root / "masks/aachen_val_000001.png"
    label = np.array(Image.open(path))
    label[7, 9] = (1, 2, 3)
    save(path, label)
    code, _, error = check("folder", root, "--data.convert-rgb-labels")
    assert code == 2
    assert "aachen_val_000001.png (colour (1, 2, 3) at row 7, column 9)" in error


def test_b_09_colours_that_two_classes_share_cannot_be_converted(check, tmp_path):
    root = LAYOUTS["ade20k"].make(tmp_path / "set")
    code, _, error = check("ade20k", root, "--data.convert-rgb-labels")
    assert code == 2
    assert "colour (140, 140, 140) is that of road and of skyscraper" in error


def test_b_10_coco_stuff_numbers_of_the_other_release_are_refused(check, tmp_path):
    """The 164k release has id - 1, and 255 where nothing is labelled; the 10k release has neither."""
    root = LAYOUTS["coco_stuff10k"].make(tmp_path / "set")
    source = LAYOUTS["coco_stuff164k"].make(tmp_path / "other")
    for path in (root / "annotations").iterdir():
        path.unlink()
    for path in (source / "annotations").rglob("*.png"):
        path.rename(root / "annotations" / path.name)
    code, _, error = check("coco_stuff10k", root)
    assert code == 2
    assert "(12, 91, 255)" in error, "12 is a gap of the ids, 91 hair brush, and 255 stands for nothing here"


def test_b_10_ade20k_labels_that_were_shifted_already_are_refused(check, tmp_path):
    root = LAYOUTS["ade20k"].make(tmp_path / "set")
    for path in (root / "ADEChallengeData2016/annotations").rglob("*.png"):
        save(path, (np.array(Image.open(path)).astype(int) - 1).astype(np.uint8))
    code, _, error = check("ade20k", root)
    assert code == 2
    assert "label values outside the classes 1..150 and 0" in error
    assert "(255)" in error


def test_b_10_cityscapes_train_ids_in_place_of_label_ids_are_refused(check, tmp_path):
    root = LAYOUTS["cityscapes"].make(tmp_path / "set")
    table = {7: 0, 23: 10, 26: 13, 33: 18, 4: 255}
    for path in (root / "gtFine").rglob("*labelIds.png"):
        raw = np.array(Image.open(path))
        save(path, np.vectorize(table.get)(raw).astype(np.uint8))
    code, _, error = check("cityscapes", root)
    assert code == 2
    assert "(255)" in error
