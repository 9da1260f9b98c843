"""docs/reproduce.md: its commands parse, and train as many steps as the published rows say."""

import re
from pathlib import Path

import pytest

from rws.cli import parse
from rws.data import NAMES
from rws.data.batches import steps_per_epoch
from rws.data.sets import ade20k, cityscapes, coco_stuff, voc2012

ROOT = Path(__file__).resolve().parents[2]
ROWS = re.findall(
    r"^\| `rws train (.+?)` \| (\d+)k x (\d+) \| \d+ \| \d+ \| [\d.]+ \|$",
    (ROOT / "docs/reproduce.md").read_text(),
    re.MULTILINE,
)
IMAGES = {
    "voc2012_aug": voc2012.PUBLISHED_AUG,
    "cityscapes": cityscapes.PUBLISHED,
    "ade20k": ade20k.PUBLISHED,
    "coco_stuff10k": coco_stuff.PUBLISHED_10K,
    "coco_stuff164k": coco_stuff.PUBLISHED_164K,
}


def test_the_table_has_every_published_row_once(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert len(ROWS) == 22
    assert len({flags for flags, *_ in ROWS}) == 22
    names = [parse(flags.split())[0].name for flags, *_ in ROWS]
    assert len(set(names)) == 22, "each run has a folder of its own"


@pytest.mark.parametrize(("flags", "thousands", "batch"), ROWS)
def test_a_command_trains_the_published_steps_at_the_published_settings(monkeypatch, flags, thousands, batch):
    monkeypatch.chdir(ROOT)
    config = parse(flags.split()).config
    train, data = config.train, config.data
    assert train.batch_size == int(batch)
    steps = train.epochs * steps_per_epoch(IMAGES[data.name]["train"], train.batch_size)
    assert steps == pytest.approx(1000 * int(thousands), rel=0.02)
    assert config.model.name == f"deeplabv3_{re.search('resnet[0-9]+', flags)[0]}"
    assert (train.optimizer, train.lr, train.momentum, train.weight_decay) == ("sgd", 0.01, 0.9, 5e-4)
    assert (train.lr_poly_power, train.warmup_epochs, train.aux_loss) == (0.9, 0, 0.4)
    assert data.scale == (0.5, 2.0)
    assert data.crop_size == ((512, 1024) if data.name == "cityscapes" else (512, 512))
    assert data.base_size == (1024 if data.name == "cityscapes" else 512)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("demo", "folder")])
def test_each_set_has_a_configuration_of_both_networks(monkeypatch, name):
    monkeypatch.chdir(ROOT)
    for network in ("resnet50", "resnet101"):
        path = f"configs/{name}_{network}.yaml"
        config = parse(["--config", path]).config
        assert (config.data.name, config.model.name) == (name, f"deeplabv3_{network}")
        assert config.name == f"{name}_{network}"
