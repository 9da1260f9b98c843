"""What every file here works with: fast commands, a set to spoil, a network to predict with."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fuzz import IDS, TREE
from PIL import Image
from tiny import STAGES, TinyNetwork

from rws.data.classes import DEMO
from rws.runs.model_file import Card, save_trained


@pytest.fixture(autouse=True)
def fast(tiny_runs, tmp_path, monkeypatch):
    """In a folder two levels down; no pictures, no page, no processes."""
    (tmp_path / "a/b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a/b")
    monkeypatch.setattr("rws.report.write.write_or_warn", lambda *args: None)


@pytest.fixture(scope="session")
def good_set(tmp_path_factory) -> Path:
    """Six images of three classes, in a folder."""
    root = tmp_path_factory.mktemp("good") / "set"
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for number, image_id in enumerate(IDS):
        rng = np.random.default_rng(number)
        Image.fromarray(rng.integers(0, 256, (18, 24, 3), np.uint8)).save(root / f"images/{image_id}.jpg")
        label = np.zeros((18, 24), np.uint8)
        label[2:10, 3:12], label[9:, 10:] = 1, 2
        Image.fromarray(label).save(root / f"masks/{image_id}.png")
    (root / "classes.txt").write_text("background\nbox\ndisc\n")
    for name, ids in (("train", IDS[:4]), ("val", IDS[4:])):
        (root / f"{name}.txt").write_text("".join(f"{image_id}\n" for image_id in ids))
    return root


@pytest.fixture
def spoilable(good_set):
    """Puts the good set and c.yaml into a folder."""

    def make(place: Path, **more: object) -> Path:
        shutil.copytree(good_set, place / "set")
        tree = {**TREE, "runs": str(place / "runs"), **more}
        tree["data"] = {**TREE["data"], "root": str(place / "set")}
        (place / "c.yaml").write_text(yaml.safe_dump(tree))
        return place / "set"

    return make


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A network of three convolutions; `tiny` must be a network's name to load it."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "best.pt"
    save_trained(path, TinyNetwork(DEMO.num_classes), Card("tiny", True, STAGES, DEMO, 16), cycle=0)
    return path
