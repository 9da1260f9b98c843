"""`train.epochs: auto`: as many epochs as show the network a number of images, said in one line."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny import demo_set, tiny_config, with_train

from rws.cli import Command
from rws.commands.train import describe
from rws.config import Config, TrainConfig
from rws.cycle.loop import Run
from rws.cycle.setup import prepare, with_epochs

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.mark.parametrize(
    ("images", "batch", "asked", "epochs"),
    [
        (24, 8, 3000, 125),
        (25, 8, 3000, 125),  # an epoch has full batches alone: 24 images
        (240, 8, 3000, 13),
        (5000, 8, 3000, 1),
        (3, 8, 80, 10),  # fewer than a batch are repeated to fill it
    ],
)
def test_as_many_epochs_as_show_the_images(images, batch, asked, epochs):
    config = Config(train=TrainConfig(epochs="auto", images=asked, batch_size=batch))
    assert with_epochs(config, images).train.epochs == epochs


def test_a_number_of_epochs_stays_as_it_is():
    config = Config(train=TrainConfig(epochs=7, images=10))
    assert with_epochs(config, 100) is config


@pytest.fixture
def config(tmp_path) -> Config:
    config = tiny_config(demo_set(tmp_path / "set", train=4), tmp_path / "runs", limit=0)
    return with_train(config, epochs="auto", images=12)


def test_a_run_has_these_epochs_keeps_the_word_and_goes_on(config):
    setup, _ = prepare(config)
    assert setup.config.train.epochs == 3
    run = Run(setup)
    run.train()
    assert len(run.state.cycles[0].whole) == 3
    assert run.state.cycles[0].whole_images == 12
    stored = yaml.safe_load(Path(setup.folder, "config.yaml").read_text())
    assert stored["train"]["epochs"] == "auto"
    assert prepare(config, resume=True)[0].config.train.epochs == 3


def test_the_number_is_said_in_one_line(config):
    setup, loaded = prepare(config)
    lines = describe(Command(config, "c.yaml"), setup, loaded).splitlines()
    assert any("lr 0.01, 3 epochs (train.images 12) a training, at most 0 cycles" in line for line in lines)
    plain = replace(config, name="plain", train=replace(config.train, epochs=2))
    lines = describe(Command(plain, "c.yaml"), *prepare(plain)).splitlines()
    assert any("lr 0.01, 2 epochs a training, at most 0 cycles" in line for line in lines)
