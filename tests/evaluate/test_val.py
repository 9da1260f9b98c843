"""`rws val` and `val`: numbers beside those of others, what is written, and wrong input."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from layouts import LAYOUTS
from official import cityscapes_scores
from PIL import Image
from published import LIGHT, publish
from report_run import CLASSES, IDS, folder_set, run
from tiny import REPOSITORY, STAGES, TinyNetwork, load_script
from torch import nn
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
)

from rws.config import Config
from rws.data import open_split
from rws.data.classes import VOC2012, ClassSet
from rws.errors import UserError
from rws.evaluate import val, validation
from rws.evaluate.command import main
from rws.evaluate.pictures import Worst, draw_confusion
from rws.evaluate.ways import Photo
from rws.predict.inference import predict_label
from rws.runs.model_file import Card, load_trained, save_trained
from rws.runs.open_network import open_network

pytestmark = pytest.mark.usefixtures("tiny_runs")

LABELLED = IDS[6:]  # the images of the list val


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return folder_set(tmp_path_factory.mktemp("set") / "set")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("run"), root)


def network_of(classes: int, seed: int = 0) -> nn.Module:
    """One that predicts all classes, wildly."""
    torch.manual_seed(seed)
    network = TinyNetwork(classes, aux=False)
    weights = network.classifier[1].weight
    with torch.no_grad():
        nn.init.normal_(weights, std=2.0)
        weights -= weights.mean(1, keepdim=True)  # else features that are all positive speak for one class
    return network


def stored(path: Path, classes: ClassSet, seed: int = 0, stages: tuple[str, ...] = STAGES) -> Path:
    """A checkpoint away from any run."""
    card = Card("tiny", False, stages, classes, base_size=32)
    save_trained(path, network_of(classes.num_classes, seed), card)
    return path


@pytest.fixture(scope="module")
def wild(root, tmp_path_factory) -> tuple[Path, Path]:
    """Two checkpoints for the set, and data to score them on."""
    classes = open_split("folder", root, "val").classes
    folder = tmp_path_factory.mktemp("wild")
    return stored(folder / "a.pt", classes, seed=6), stored(folder / "b.pt", classes, seed=10)


def data(root: Path) -> dict:
    return {"name": "folder", "root": root, "workers": 0}


def flags(root: Path) -> list[str]:
    return ["--data.name", "folder", "--data.root", str(root), "--data.workers", "0", "--device", "cpu"]


def refused(capsys, *arguments: object) -> str:
    assert main([*map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


# Numbers.


def test_scores_are_those_of_torchmetrics(wild, root):
    found = val(wild[0], data=data(root)).first
    network, card = load_trained(wild[0])
    split = open_split("folder", root, "val")
    settings = {"num_classes": len(CLASSES), "ignore_index": 255}
    iou = MulticlassJaccardIndex(**settings, average=None)
    accuracy, pixels = (MulticlassAccuracy(**settings, average=kind) for kind in (None, "micro"))
    confusion = MulticlassConfusionMatrix(**settings)
    for image_id in split.ids:
        predicted = torch.tensor(predict_label(network, card, split.image(image_id))).long()
        for metric in (iou, accuracy, pixels, confusion):
            metric.update(predicted[None], torch.tensor(split.label(image_id)).long()[None])
    assert found.confusion == confusion.compute().tolist()
    assert (np.array(found.confusion) > 0).sum() > 6
    own = found.classes.values()
    assert [each.iou for each in own] == pytest.approx((100 * iou.compute()).tolist(), abs=1e-4)
    assert [each.accuracy for each in own] == pytest.approx((100 * accuracy.compute()).tolist(), abs=1e-4)
    assert found.miou == pytest.approx(100 * float(iou.compute().mean()), abs=1e-4)
    assert found.mean_accuracy == pytest.approx(100 * float(accuracy.compute().mean()), abs=1e-4)
    assert found.pixel_accuracy == pytest.approx(100 * float(pixels.compute()), abs=1e-4)
    assert sum(each.pixels for each in own) == 3 * 47 * 64  # the first row of each label is ignored


def test_scores_are_those_of_cityscapes_scripts_on_the_files_of_predict(tmp_path):
    root = LAYOUTS["cityscapes"].make(tmp_path / "set", size=(96, 128))
    path = stored(tmp_path / "city.pt", open_split("cityscapes", root, "val").classes)
    found = val(path, data={"name": "cityscapes", "root": root, "partial": True}).first
    arguments = ["--checkpoint", path, "--input", root / "leftImg8bit/val", "--output", tmp_path / "out"]
    assert load_script("predict").main([*map(str, arguments)]) == 0
    truths = sorted(root.rglob("gtFine/val/*/*_labelIds.png"))
    names = (path.name.replace("_gtFine_labelIds", "_leftImg8bit") for path in truths)
    official = cityscapes_scores([tmp_path / "out/aachen" / name for name in names], truths)
    assert found.miou == pytest.approx(100 * official["averageScoreClasses"], abs=1e-4)
    theirs = {name: 100 * share for name, share in official["classScores"].items() if share == share}
    ours = {name: each.iou for name, each in found.classes.items() if each.iou is not None}
    assert ours == pytest.approx(theirs, abs=1e-4)
    assert len(ours) > 4


def test_a_run_scores_as_it_did_at_its_end(finished):
    summary = json.loads((finished / "summary.json").read_text())
    found = val(finished / "last.pt")
    assert found.miou == pytest.approx(summary["rws"]["miou"], abs=0.01)
    assert (found.data, found.list, found.images) == ("folder", "val", 3)
    assert found.first.units == 1


def test_small_objects_are_scored_apart_and_a_right_prediction_scores_100(wild, root, monkeypatch):
    def right(trained, photo):
        return photo.label, 1.0

    monkeypatch.setattr(validation, "make_ways", lambda *_: {"right": right})
    found = val(wild[0], data=data(root)).first
    assert (found.miou, found.boundary_iou, found.pixel_accuracy) == (100, 100, 100)
    assert found.sizes == {"small": None, "medium": None, "large": 100}
    assert set(found.images.values()) == {100}


# Several ways and networks.


def test_all_ways_in_one_table(wild, root):
    ways = ("plain", "flip", "ms_flip", "quarters", "with_1.5", "rws", "random", "attention", "oracle")
    found = val(wild[0], data=data(root), ways=ways, passes=2)
    [by_way] = found.networks.values()
    assert tuple(by_way) == ways
    units = {name: round(each.units, 2) for name, each in by_way.items()}
    assert units["plain"] == 1
    assert units["ms_flip"] == 6.25
    assert units["with_1.5"] == 3.25
    assert units["rws"] <= 2
    assert (units["random"], units["attention"]) == (2, 4)  # both foreground classes are predicted
    for each in by_way.values():
        assert each.images_per_second > 0
        if each is not found.first:
            assert each.to_first_way["mean"] == pytest.approx(each.miou - found.miou)
            assert each.to_first_way["low"] <= each.to_first_way["mean"] <= each.to_first_way["high"]
    table = found.table().splitlines()
    starts = [line.split()[0] for line in table if line]
    assert starts[1 : len(ways) + 2] == ["way", *ways]


def test_networks_side_by_side_differ_by_image(wild, root):
    found = val(wild, data=data(root))
    a, b = (ways["plain"] for ways in found.networks.values())
    assert list(found.networks) == ["a", "b"]
    assert a.to_first_network is None
    assert b.to_first_network["mean"] == pytest.approx(b.miou - a.miou)
    assert abs(b.miou - a.miou) > 0.1
    assert "to a" in found.table()


def test_the_same_network_twice_differs_by_nothing(wild, root, tmp_path):
    copy = tmp_path / "copy.pt"
    copy.write_bytes(wild[0].read_bytes())
    _, other = val([wild[0], copy], data=data(root)).networks.values()
    assert other["plain"].to_first_network == {"mean": 0, "low": 0, "high": 0}


# The command.


def test_the_command_writes_beside_the_run_and_prints_the_table(finished, capsys):
    arguments = ["--checkpoint", str(finished / "last.pt"), "--ways", "plain", "rws", "--worst", "2"]
    assert main(arguments) == 0
    folder = finished / "val"
    written = json.loads((folder / "val.json").read_text())
    [scores] = written["networks"].values()
    assert set(scores["plain"]["images"]) == set(LABELLED)
    assert scores["rws"]["to_first_way"]["low"] <= scores["rws"]["to_first_way"]["high"]
    names = {f"{kind}_{way}" for way in scores for kind in ("confusion", "worst")}
    assert {path.stem for path in folder.iterdir()} == {"val", *names}
    with open(folder / "confusion_plain.csv", newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head[1:]) == tuple(row[0] for row in rows) == CLASSES
    assert [[int(cell) for cell in row[1:]] for row in rows] == scores["plain"]["confusion"]
    for picture in (folder / "confusion_rws.png", folder / "worst_plain.jpg"):
        with Image.open(picture) as opened:
            assert min(opened.size) > 300
    said = capsys.readouterr().out
    assert "folder, list val: 3 images, 3 classes" in said
    assert f"{scores['plain']['miou']:.2f}" in said
    assert f"written: {folder}" in said


def test_another_list_lies_in_another_folder(finished):
    assert main(["--checkpoint", str(finished / "last.pt"), "--list", "train", "--worst", "0"]) == 0
    written = json.loads((finished / "val_train/val.json").read_text())
    assert (written["list"], written["images"]) == ("train", 6)
    assert not list((finished / "val_train").glob("worst*"))


@pytest.mark.parametrize("divided", [True, False])
def test_the_list_of_training_or_test_is_found_as_in_training(wild, tmp_path, divided):
    """Also where a folder for each list, or a draw, says which images these are."""
    root = folder_set(tmp_path / "set")
    for name in ("train.txt", "val.txt"):
        (root / name).unlink()
    if divided:
        for k, image_id in enumerate(IDS):
            for folder in ("images", "masks"):
                (place := root / folder / ("train", "val", "test")[k % 3]).mkdir(exist_ok=True)
                found = next((root / folder).glob(f"{image_id}.*"))
                found.rename(place / found.name)
        assert val(wild[0], data=data(root), list="test").images == 3
    names = {name: set(open_split("folder", root, name).ids) for name in ("train", "val")}
    assert set(val(wild[0], data=data(root), list="train").first.images) == names["train"]
    assert set(val(wild[0], data=data(root)).first.images) == names["val"]


def test_a_network_of_a_cycle_has_the_data_of_its_run(finished):
    assert main(["--checkpoint", str(finished / "cycles/1/plain.pt"), "--worst", "0"]) == 0
    written = json.loads((finished / "cycles/1/val/val.json").read_text())
    assert (written["data"], written["images"]) == ("folder", 3)


def test_pictures_of_an_earlier_scoring_are_taken_away_and_no_other_file(finished):
    command = ["--checkpoint", str(finished / "last.pt"), "--worst", "1", "--ways"]
    assert main([*command, "plain", "flip"]) == 0
    (finished / "val/confusion_mine.png").write_bytes(b"mine")
    assert main([*command, "flip"]) == 0
    names = {"val.json", "confusion_flip.csv", "confusion_flip.png", "worst_flip.jpg", "confusion_mine.png"}
    assert {path.name for path in (finished / "val").iterdir()} == names


def test_a_resumed_run_does_not_mind_its_scores(finished):
    train = load_script("train")
    assert main(["--checkpoint", str(finished / "last.pt")]) == 0
    assert train.main(["--config", str(finished.parent.parent / "run.yaml"), "--resume"]) == 0
    assert (finished / "val/val.json").is_file()


def test_an_interruption_ends_clean(finished, tmp_path, monkeypatch, capsys):
    counted = validation.predictions

    def stopped(*arguments):
        for image in counted(*arguments):
            yield image
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(validation, "predictions", stopped)
    arguments = ["--checkpoint", str(finished / "last.pt"), "--output", str(tmp_path / "out")]
    assert main(arguments) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted; no result was written"
    assert not list((tmp_path / "out").iterdir())


def test_python_writes_nothing_unless_told(wild, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    val(wild[0], data=data(root))
    assert not list(tmp_path.iterdir())
    val(wild, data=data(root), output=tmp_path / "out")
    assert (tmp_path / "out/confusion_b_plain.png").is_file()


# Wrong input.


def test_wrong_input_is_one_line(wild, finished, root, tmp_path, capsys):
    a, last = wild[0], finished / "last.pt"
    assert "nearest known one is --ways" in refused(capsys, "--checkpoint", a, "--wais", "plain")
    assert "invalid choice: 'flop'" in refused(capsys, "--checkpoint", a, "--ways", "flop")
    assert "--worst -1: must be" in refused(capsys, "--checkpoint", a, "--worst", "-1")
    assert "--passes 0: must be 1 to 26" in refused(
        capsys, "--checkpoint", last, "--passes", "0", "--ways", "rws"
    )
    assert "--passes 3 is of --ways rws, attention, random, oracle; give that as well" in refused(
        capsys, "--checkpoint", last, "--passes", "3", "--ways", "plain", "flip"
    )
    assert "no such checkpoint" in refused(capsys, "--checkpoint", tmp_path / "no.pt", *flags(root))
    assert "name the data set with --data.name" in refused(capsys, "--checkpoint", a)
    assert "is there twice" in refused(capsys, "--checkpoint", last, last)
    assert "elsewhere" in refused(capsys, "--checkpoint", last, "--list", "elsewhere")
    (tmp_path / "file").write_text("")
    assert "is a file" in refused(capsys, "--checkpoint", last, "--output", tmp_path / "file")
    other = folder_set(tmp_path / "other", ("background", "cat", "dog"))
    assert "those of the data background, cat, dog" in refused(
        capsys, "--checkpoint", last, "--data.root", other
    )


def test_a_published_network_on_data_of_its_classes(tmp_path, monkeypatch, capsys):
    publish(LIGHT, tmp_path / f"weights/{LIGHT}_coco.pth", monkeypatch)
    root = folder_set(tmp_path / "voc", VOC2012.names)
    monkeypatch.chdir(tmp_path)
    assert main(["--model", LIGHT, *flags(root)]) == 0
    assert capsys.readouterr().out.endswith("written: val\n")
    found = val(LIGHT, data=data(root))
    assert found.checkpoints == {LIGHT: LIGHT}
    network, card = open_network(LIGHT)
    split = open_split("folder", root, "val")
    labels = [(predict_label(network, card, split.image(i)), split.label(i)) for i in split.ids]
    right = sum(int((label == truth)[truth != 255].sum()) for label, truth in labels)
    known = sum(int((truth != 255).sum()) for _, truth in labels)
    assert found.first.pixel_accuracy == pytest.approx(100 * right / known)
    assert json.loads((tmp_path / "val/val.json").read_text())["checkpoints"] == {LIGHT: LIGHT}
    assert "give --checkpoint or --model" in refused(capsys, *flags(root))


def test_a_network_of_ones_own_is_looked_again_at_without_training(tmp_path, monkeypatch, capsys):
    (tmp_path / "untrained.py").write_text(
        "from torch import nn\n"
        "def net(n): return nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.ReLU(), nn.Conv2d(4, n, 3, 2, 1))\n"
        f"classes = {list(CLASSES)}\n"
    )
    root = folder_set(tmp_path / "set")
    monkeypatch.chdir(tmp_path)
    assert main(["--model", "untrained:net", *flags(root), "--ways", "plain", "rws", "random"]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert {"plain", "rws", "random"} <= set(rows)
    assert "untrained:net: it has no stages to look at" in refused(
        capsys, "--model", "untrained:net", *flags(root), "--ways", "attention"
    )


def test_an_unknown_way_is_told_in_python_as_well(wild):
    with pytest.raises(UserError, match=r"^ways flop: must be some of plain, flip"):
        val(wild[0], ways=["flop"])
    with pytest.raises(UserError, match=r"^ways flop: must be some of plain, flip"):
        val(wild[0], ways="flop")
    with pytest.raises(UserError, match="give a network"):
        val([])


@pytest.mark.parametrize("given", [torch.nn.Conv2d(3, 2, 1), [torch.nn.Identity()], 3])
def test_what_is_no_file_and_no_name_is_told_in_python(given):
    with pytest.raises(UserError, match=r"^rws\.val: takes the file or the name of a network"):
        val(given)


def test_python_is_told_of_arguments_and_not_of_flags(wild, root):
    with pytest.raises(UserError, match=r"^passes 3 is of --ways rws, attention, random, oracle"):
        val(wild[0], data=data(root), passes=3)
    with pytest.raises(UserError, match=r"^passes 30: must be 1 to 26"):
        val(wild[0], data=data(root), ways="rws", passes=30)
    with pytest.raises(UserError, match=r"^unknown key 'data\.rot'"):
        val(wild[0], data={"rot": "x"})


def test_labels_without_a_boundary_have_no_boundary_iou(tmp_path):
    """Scribbles in what is ignored, all predicted rightly: no pixel lies near a boundary."""
    root = folder_set(tmp_path / "set")
    for image_id in LABELLED:
        label = np.full((48, 64), 255, np.uint8)
        label[20:24, 20:24] = 1
        Image.fromarray(label).save(root / "masks" / f"{image_id}.png")
    classes = open_split("folder", root, "val").classes
    network = network_of(classes.num_classes)
    with torch.no_grad():
        network.classifier[1].weight.zero_()
        network.classifier[1].bias.copy_(9.0 * torch.eye(classes.num_classes)[1])
    save_trained(tmp_path / "all.pt", network, Card("tiny", False, STAGES, classes, base_size=32))
    found = val(tmp_path / "all.pt", data=data(root), output=tmp_path / "out").first
    assert (found.miou, found.boundary_iou) == (100.0, None)


def test_attention_needs_stages(root, tmp_path):
    path = stored(tmp_path / "bare.pt", open_split("folder", root, "val").classes, stages=())
    assert val(path, data=data(root), ways=["rws", "random"]).images == 3
    with pytest.raises(UserError, match=r"bare\.pt: it has no stages to look at"):
        val(path, data=data(root), ways=["attention"])


def test_labels_that_count_nowhere_and_labels_of_another_size(wild, tmp_path):
    root = folder_set(tmp_path / "set")
    nothing = np.full((48, 64), 255, np.uint8)
    Image.fromarray(nothing).save(root / "masks" / f"{LABELLED[0]}.png")
    assert set(val(wild[0], data=data(root)).first.images) == set(LABELLED[1:])
    for image_id in LABELLED:
        Image.fromarray(nothing).save(root / "masks" / f"{image_id}.png")
    half = nothing * (np.arange(64) < 32).astype(np.uint8)
    Image.fromarray(half).save(root / "masks" / f"{LABELLED[0]}.png")
    with pytest.raises(
        UserError, match="no label of the list holds an object, but 255, which counts nowhere"
    ):
        val(wild[0], data=data(root))
    Image.fromarray(nothing).save(root / "masks" / f"{LABELLED[0]}.png")
    with pytest.raises(UserError, match="no label of the list holds a pixel that counts"):
        val(wild[0], data=data(root))
    Image.fromarray(nothing[:20]).save(root / "masks" / f"{LABELLED[1]}.png")
    with pytest.raises(UserError, match=r"the label is 64 x 20 pixels, its image 64 x 48"):
        val(wild[0], data=data(root))


def test_an_image_that_cannot_be_looked_at_is_named(wild, tmp_path):
    root = folder_set(tmp_path / "set")
    for folder in ("images", "masks"):
        path = root / folder / f"{LABELLED[1]}.png"
        Image.fromarray(np.zeros((4, 90), np.uint8)).save(path)
    with pytest.raises(UserError, match=f"^{LABELLED[1]}: 90 x 4 pixels: longer than"):
        val(wild[0], data=data(root))


def test_images_of_more_bits_are_read_in_the_range_of_the_network(wild, tmp_path):
    root, (network, card) = folder_set(tmp_path / "set"), load_trained(wild[0])
    for image_id in IDS:
        path = root / "images" / f"{image_id}.png"
        cv2.imwrite(str(path), cv2.imread(str(path)).astype(np.uint16) * 4)  # of 0..1023
    names = []
    for most in (1023.0, 4095.0, 65535.0):
        names.append(tmp_path / f"{most:g}.pt")
        save_trained(names[-1], network, replace(card, levels=(0.0, most)))
    scores = [val(name, data=data(root)).first for name in (wild[0], *names)]
    assert scores[0].confusion == scores[1].confusion
    given = val(wild[0], data=data(root) | {"range": [0, 4095]}).first
    assert scores[2].confusion == given.confusion != scores[1].confusion
    assert val(names[2], data=data(root) | {"range": [0, 4095]}).first.confusion == given.confusion
    with pytest.raises(UserError, match="the networks take different values for black and white"):
        val(names, data=data(root))


def test_another_backend_does_not_mind_on_what_a_run_was_trained():
    def device(*flags: str) -> torch.device:
        command = validation.ValCommand(("a.pt",), flags, backend="openvino")
        return validation._device(command, replace(Config(), device="cuda"))

    assert device() == torch.device("cpu")
    with pytest.raises(UserError, match="--device cuda: needs torch"):
        device("--device", "cuda")


def test_a_wrong_flag_is_answered_without_loading_torch():
    code = (
        "import sys; from rws.evaluate.command import main; main(['--lits']); print('torch' in sys.modules)"
    )
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
    assert ended.stderr == "error: command line: --lits: unknown; the nearest known one is --list\n"


# Pictures.


def test_the_worst_images_are_kept_in_their_order():
    classes = ClassSet(("a", "b"), ((0, 0, 0), (9, 9, 9)), background=0)
    worst = Worst(classes, 3)
    for score in (50.0, 20.0, float("nan"), 90.0, 10.0, 60.0):
        label = np.zeros((600, 900), np.uint8)
        worst.offer(score, Photo(f"i{score}", Image.new("RGB", (900, 600)), label), label + 1)
    assert [each.score for each in worst.shown] == [10, 20, 50]
    assert worst.shown[0].pictures[2].size == (480, 320)
    assert worst.shown[0].present == {0, 1}
    sheet = worst.sheet("worst")
    assert sheet.width == 1600


def test_a_confusion_of_many_classes_is_drawn_without_numbers(tmp_path):
    names = tuple(f"class {k}" for k in range(150))
    counts = np.eye(150, dtype=int)
    counts[7] = 0  # not labelled
    draw_confusion(counts.tolist(), names, tmp_path / "c.png", "many")
    with Image.open(tmp_path / "c.png") as picture:
        assert picture.size == (2300, 2300)
