"""A run that is resumed is held against what it was begun with: lists, files and the code of its network."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from tiny import NoScalars, demo_set, load_script

from rws.data import open_split
from rws.data.digests import PART, differences, file_digest, split_digests
from rws.models.source import source_digests
from rws.runs import checkpoint, loggers
from rws.runs.begun import Begun

train = load_script("train")

NETWORK = """
import helper_of_net
from torch import nn
from torch.nn import functional as F

class Small(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv2d(3, helper_of_net.WIDTH, 3, 2, 1), nn.ReLU())
        self.stage2 = nn.Sequential(nn.Conv2d(helper_of_net.WIDTH, 4, 3, 1, 1), nn.ReLU())
        self.classifier = nn.Conv2d(4, classes, 1)

    def forward(self, x):
        logits = self.classifier(self.stage2(self.stage1(x)))
        return F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)

def small(classes):
    return Small(classes)

small.stages = ("stage1", "stage2")
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory) -> Path:
    """A set, a network and a finished run of a single training."""
    place = tmp_path_factory.mktemp("begun")
    demo_set(place / "set", train=6, val=3)
    (place / "net_of_mine.py").write_text(NETWORK)
    (place / "helper_of_net.py").write_text("WIDTH = 4\n")
    values = {
        "runs": "runs",
        "device": "cpu",
        "model": {"name": "net_of_mine:small", "weights": "none"},
        "data": {"name": "demo", "root": "set", "base_size": 32, "crop_size": [32, 48], "workers": 0},
        "train": {"batch_size": 2},
        "cycles": {"limit": 0},
    }
    (place / "c.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        assert command(patch, place) == 0
    return place


def command(patch: pytest.MonkeyPatch, folder: Path, *flags: str) -> int:
    """train.py in a folder, which imports the modules of that folder anew."""
    patch.chdir(folder)
    patch.setattr(loggers, "SummaryWriter", NoScalars)
    patch.setattr(sys, "path", [str(folder), *sys.path])
    for name in ("net_of_mine", "helper_of_net"):
        sys.modules.pop(name, None)
    return train.main(["--config", "c.yaml", *flags])


@pytest.fixture
def copy(begun, tmp_path) -> Path:
    shutil.copytree(begun, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path / "copy"


def error_of(capsys) -> str:
    lines = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().err.split("\n")]
    (line,) = [line for line in lines if line.strip()]
    return line.removeprefix("error: ")


def image(folder: Path, number: int, split: str = "train") -> Path:
    return folder / f"set/JPEGImages/{split}_{number:04d}.jpg"


def label(folder: Path, number: int) -> Path:
    return folder / f"set/SegmentationClass/train_{number:04d}.png"


def ids(folder: Path, change: Callable[[list[str]], list[str]], name: str = "train") -> None:
    path = folder / f"set/ImageSets/Segmentation/{name}.txt"
    path.write_text("".join(f"{i}\n" for i in change(path.read_text().split())))


def other_images(folder: Path) -> None:
    for number in range(4):
        image(folder, number).write_bytes(
            image(folder, number, "val" if number < 3 else "train").read_bytes()
        )
    image(folder, 3).write_bytes(image(folder, 4).read_bytes())


def smaller(folder: Path) -> None:
    for path in (image(folder, 2), label(folder, 2)):
        with Image.open(path) as old:
            new = old.resize((old.width // 2, old.height // 2), Image.Resampling.NEAREST)
        new.save(path)


def relabelled(folder: Path) -> None:
    with Image.open(label(folder, 5)) as old:
        pixels, palette = np.array(old), old.getpalette()
    pixels[10:20] = (pixels[10:20] + 1) % 6
    new = Image.fromarray(pixels, mode="P")
    new.putpalette(palette)
    new.save(label(folder, 5))


def code(name: str, old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text((folder / name).read_text().replace(old, new))


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "other images": (
        other_images,
        "train: 4 ids (train_0000, train_0001, train_0002, ...) with another image",
    ),
    "an id fewer": (lambda f: ids(f, lambda i: i[1:]), "train: 1 id (train_0000) gone from the list"),
    "an id more": (
        lambda f: ids(f, lambda i: [*i, "val_0000"]),
        "train: 1 id (val_0000) new in the list",
    ),
    "another order": (lambda f: ids(f, lambda i: i[::-1]), "train: the list has another order"),
    "resized": (
        smaller,
        "train: 1 id (train_0002) with another image; train: 1 id (train_0002) with another label",
    ),
    "a label": (relabelled, "train: 1 id (train_0005) with another label"),
    "another val list": (
        lambda f: ids(f, lambda i: i[:2], "val"),
        "val: 1 id (val_0002) gone from the list",
    ),
    "the network": (
        code("net_of_mine.py", "self.stage2(", "2 * self.stage2("),
        "another source of the network: net_of_mine",
    ),
    "what it imports": (
        code("helper_of_net.py", "4", "2 + 2"),
        "another source of the network: helper_of_net",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_named_and_refused(copy, monkeypatch, capsys, change):
    spoil, said = CHANGES[change]
    spoil(copy)
    before = (copy / "runs/run/summary.json").read_bytes()
    capsys.readouterr()
    assert command(monkeypatch, copy, "--resume") == 2
    line = error_of(capsys)
    assert line.startswith(f"runs/run: was begun with something else: {said}; put it back, ")
    assert line.endswith("or go on all the same with --resume-with-changes")
    assert (copy / "runs/run/summary.json").read_bytes() == before


def test_nothing_has_changed(copy, monkeypatch, capsys):
    """Neither where the set lies nor when its files were written counts."""
    (copy / "set").rename(copy / "moved")
    for path in (copy / "moved").rglob("*.jpg"):
        path.write_bytes(path.read_bytes())
    assert command(monkeypatch, copy, "--resume", "--data.root", "moved") == 0
    assert "warning" not in capsys.readouterr().out
    assert "changes" not in json.loads((copy / "runs/run/summary.json").read_text())


@pytest.mark.parametrize("flags", [["--resume-with-changes"], ["--resume", "--resume-with-changes"]])
def test_a_person_may_insist_and_then_it_stands_in_the_summary_and_the_report(
    copy, monkeypatch, capsys, flags
):
    ids(copy, lambda i: i[::-1])
    assert command(monkeypatch, copy, *flags) == 0
    change = "its end: train: the list has another order"
    assert f"warning: the run goes on with changes from here on, {change}" in capsys.readouterr().out
    assert json.loads((copy / "runs/run/summary.json").read_text())["changes"] == [change]
    assert f"This run went on with changes from {change}." in (copy / "runs/run/report.html").read_text()
    # From then on it is what the run works with; that it was changed is not forgotten.
    assert command(monkeypatch, copy, "--resume") == 0
    relabelled(copy)
    assert command(monkeypatch, copy, *flags) == 0
    changes = json.loads((copy / "runs/run/summary.json").read_text())["changes"]
    assert changes == [change, "its end: train: 1 id (train_0005) with another label"]


def test_another_pipeline_of_albumentations_is_named_and_refused(copy, monkeypatch, capsys):
    pytest.importorskip("albumentations")
    flip = {"__class_fullname__": "HorizontalFlip", "p": 1.0}
    path, flags = copy / "flips.json", ("--data.albumentations", "flips.json")
    path.write_text(json.dumps({"transform": flip}))
    assert command(monkeypatch, copy, *flags, "--overwrite") == 0
    path.rename(copy / "moved.json")
    moved = ("--data.albumentations", "moved.json", "--resume")
    assert command(monkeypatch, copy, *moved) == 0, "where the file lies does not count"
    (copy / "moved.json").write_text(json.dumps({"transform": flip | {"p": 0.5}}))
    for changed in (moved, ("--resume",)):
        capsys.readouterr()
        assert command(monkeypatch, copy, *changed) == 2
        assert "something else: another pipeline of data.albumentations; put it back" in error_of(capsys)


def test_what_it_was_begun_with_is_damaged(copy, monkeypatch, capsys):
    path = copy / "runs/run/begun.json"
    path.write_text(path.read_text().replace("train_0000", "train_000O"))
    assert command(monkeypatch, copy, "--resume") == 2
    assert "what it was is not known, runs/run/begun.json: damaged" in capsys.readouterr().err
    assert command(monkeypatch, copy, "--resume-with-changes") == 0
    (change,) = json.loads((copy / "runs/run/summary.json").read_text())["changes"]
    assert "what it was is not known" in change


def test_a_damaged_configuration_stands_in_the_summary(copy, monkeypatch, capsys):
    path = copy / "runs/run/config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 8"))
    assert command(monkeypatch, copy, "--resume") == 2
    assert "config.yaml: damaged" in capsys.readouterr().err
    assert command(monkeypatch, copy, "--resume-with-changes") == 0
    changes = json.loads((copy / "runs/run/summary.json").read_text())["changes"]
    assert changes == ["its end: its configuration was damaged"]


def test_a_run_that_has_trained_nothing_yet_takes_what_is_there(copy, monkeypatch):
    for path in (copy / "runs/run").iterdir():
        if path.name not in ("config.yaml", "begun.json", "env.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    ids(copy, lambda i: i[1:])
    assert command(monkeypatch, copy, "--resume") == 0
    begun = checkpoint.read_json(copy / "runs/run/begun.json", Begun)
    assert (len(begun["train"]), begun["changes"]) == (5, [])


# The digests.


def test_a_digest_is_over_the_size_and_both_ends(tmp_path):
    path, content = tmp_path / "a", bytearray(np.random.default_rng(0).bytes(3 * PART))
    path.write_bytes(content)
    before, known = file_digest(path), set()
    for place in (0, PART - 1, 2 * PART, 3 * PART - 1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        known.add(file_digest(path))
    for other in (content + b"x", content[:-1], content[: 2 * PART], b"", content[:PART]):
        path.write_bytes(other)
        known.add(file_digest(path))
    assert len(known - {before}) == 9
    path.unlink()
    assert file_digest(path) == file_digest(None) == "missing"


@pytest.mark.parametrize("size", [1, PART, PART + 1, 2 * PART])
def test_of_a_file_of_up_to_128_kib_every_byte_counts(tmp_path, size):
    path, content = tmp_path / "a", bytearray(size)
    path.write_bytes(content)
    before = file_digest(path)
    for place in {0, size // 2, PART - 1, size - 1} & set(range(size)):
        changed = bytearray(content)
        changed[place] = 1
        path.write_bytes(changed)
        assert file_digest(path) != before


def test_a_missing_label_has_a_digest_of_its_own(begun, tmp_path):
    shutil.copytree(begun / "set", tmp_path / "set")
    split = open_split("demo", tmp_path / "set", "train")
    before = split_digests(split, progress=False)
    assert list(before) == split.ids
    assert len({*before.values()}) == 6
    split.label_path("train_0001").unlink()
    assert differences(before, split_digests(split, progress=False)) == [
        "1 id (train_0001) with another label"
    ]


def test_the_source_of_a_network_is_what_lies_beside_it(tmp_path, monkeypatch):
    (tmp_path / "pack/deep").mkdir(parents=True)
    (tmp_path / "pack/__init__.py").write_text("")
    (tmp_path / "pack/deep/__init__.py").write_text("from . import within")
    (tmp_path / "pack/deep/within.py").write_text("import torch, json\nfrom .. import aside")
    (tmp_path / "pack/aside.py").write_text("import rws.errors")
    (tmp_path / "unused.py").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    __import__("pack.deep.within")
    __import__("unused")
    try:
        assert list(source_digests("pack.deep.within")) == [
            "pack",
            "pack.aside",
            "pack.deep",
            "pack.deep.within",
        ]
        assert source_digests("torch") == {}
        assert source_digests("not_imported") == {}
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] in ("pack", "unused")]:
            del sys.modules[name]
