"""Every Python line of docs/python.md runs, from top to bottom, as a person would type it."""

import dataclasses
import hashlib
import re

import numpy as np
import pytest
import torch
from films import encode
from PIL import Image
from tiny import REPOSITORY, STAGES, TINY, demo_set

import rws
from rws.data.classes import DEMO, VOC2012
from rws.models import FAMILIES
from rws.runs.card import Card
from rws.runs.model_file import save_trained

PAGE = (REPOSITORY / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAME = "deeplabv3_resnet50"


@pytest.fixture
def here(tmp_path, tiny_runs, monkeypatch):
    """What the page speaks of, small: a photograph, a film, the demo set, published weights."""
    torch.manual_seed(0)
    network = TINY.build(VOC2012.num_classes, False)
    torch.nn.init.normal_(network.classifier[1].weight, std=2.0)
    (tmp_path / "weights").mkdir()
    path = tmp_path / f"weights/{NAME}_coco.pth"
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    names = {"weights_file": path.name, "download": f"http://127.0.0.1:9/{NAME}-{digest}.pth"}
    monkeypatch.setitem(FAMILIES, NAME, dataclasses.replace(TINY, **names))
    monkeypatch.chdir(tmp_path)
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    photo = Image.fromarray(small).resize((96, 64), Image.Resampling.BICUBIC)
    photo.save("photo.jpg")
    encode(tmp_path / "film.mp4", [photo] * 2)
    demo_set(tmp_path / "data/demo")
    return tmp_path


def small_runs(monkeypatch):
    """The demo's configuration with the tiny network, so that its training takes a second."""
    train = rws.train
    small = {
        "model.name": "tiny",
        "model.weights": "none",
        "data.base_size": 32,
        "data.crop_size": [32, 48],
        "data.workers": 0,
        "train.batch_size": 2,
        "device": "cpu",
    }
    monkeypatch.setattr(
        rws, "train", lambda config, **options: train(config, **small, **options), raising=False
    )


def test_the_page_runs_from_top_to_bottom(here, monkeypatch, capsys):
    small_runs(monkeypatch)
    space: dict = {"__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, "docs/python.md", "exec"), space)
    assert (here / "seen.jpg").is_file()
    assert sorted(path.name for path in (here / "seen").iterdir()) == ["photo.png", "photo_overlay.jpg"]
    assert space["mine"].classes == ("background", "leaf", "stem")
    assert space["maps"].attention.shape == (2, len(space["maps"].stages), 96, 128)
    assert (here / "runs/first/report.html").is_file()
    assert space["seen"].label.shape == (64, 96)
    assert space["run"].summary["name"] == "first"
    assert (
        capsys.readouterr()
        .out.splitlines()[-1]
        .startswith(
            "deeplabv3_resnet5: no file and no network of this name; did you mean deeplabv3_resnet50?"
        )
    )


def test_the_lines_of_the_readme_run(here):
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    network = FAMILIES[NAME].build(DEMO.num_classes, False)
    (here / "runs/demo").mkdir(parents=True)
    save_trained(here / "runs/demo/best.pt", network, Card(NAME, False, STAGES, DEMO, 32))
    space: dict = {"__name__": "readme"}
    exec(compile(block, "README.md", "exec"), space)
    assert Image.open("seen.jpg").size == (160, 120)
    assert {each.shape for each in space["where"].values()} == {(120, 160)}
    assert len(space["where"]) == len(STAGES)


def test_the_page_speaks_of_every_name():
    assert all(f"`rws.{name}`" in PAGE for name in rws.__all__)
