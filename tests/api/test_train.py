"""`rws.train` is `rws train`: the same options, the same run, and what comes back of it."""

import json

import numpy as np
import pytest
import torch
from tiny import demo_set, tiny_config

import rws
from rws.cli import dump
from rws.runs.model_file import load_trained

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture
def file(tmp_path):
    """A configuration of two short cycles."""
    path = tmp_path / "small.yaml"
    path.write_text(dump(tiny_config(demo_set(tmp_path / "demo"), tmp_path / "runs")))
    return path


def test_a_run_from_a_file_and_options_of_every_form(file, tmp_path):
    root = {"root": tmp_path / "demo"}  # a Path as well as a text
    run = rws.train(file, name="one", train={"epochs": 1}, data=root, **{"cycles.limit": 1})
    assert run.folder == tmp_path / "runs/one"
    assert run.summary == json.loads((run.folder / "summary.json").read_text())
    assert (run.folder / "report.html").is_file()
    config = (run.folder / "config.yaml").read_text()
    assert "epochs: 1\n" in config
    assert "limit: 1\n" in config
    assert run.checkpoint == run.folder / "best.pt"
    net = run.load(device="cpu")
    best, card = load_trained(run.folder / "best.pt")
    assert net.classes == card.classes.names
    state = net.module.state_dict()
    assert all(torch.equal(value, best.state_dict()[key]) for key, value in state.items())
    assert net(np.zeros((40, 50, 3), np.uint8)).label.shape == (40, 50)
    assert repr(run) == f"FinishedRun(folder={run.folder!r})"


def test_the_same_name_again(file):
    rws.train(file, name="one", cycles={"limit": 0})
    with pytest.raises(rws.UserError, match="--resume"):
        rws.train(file, name="one", cycles={"limit": 0})
    resumed = rws.train(file, name="one", cycles={"limit": 0}, resume=True)
    anew = rws.train(file, name="one", cycles={"limit": 0}, overwrite=True)
    assert resumed.summary["cycles"][0].keys() == anew.summary["cycles"][0].keys()


def test_options_alone_are_laid_over_the_defaults(tmp_path):
    root = demo_set(tmp_path / "demo")
    options = {
        "data.name": "demo",
        "data.root": str(root),
        "data.base_size": 32,
        "data.crop_size": [32, 48],
        "data.workers": 0,
        "model.name": "tiny",
        "model.weights": "none",
        "train.batch_size": 2,
        "train.epochs": 1,
        "cycles.limit": 0,
    }
    run = rws.train(options, name="two", runs=str(tmp_path / "runs"), device="cpu")
    assert run.folder == tmp_path / "runs/two"


def test_wrong_options_are_one_line(file, tmp_path):
    for options, said in (
        (
            {"train": {"epoch": 1}},
            "rws.train: unknown key 'train.epoch'; the nearest known one is 'train.epochs'",
        ),
        ({"epochs": 1}, "rws.train: unknown key 'epochs'"),
        ({"train.epochs": "many"}, 'rws.train: "train.epochs": many given, needed is a whole number'),
        ({"check_data": True}, "rws.train: check_data: is a command of its own"),
        ({"resume": True, "overwrite": True}, "give one of them"),
    ):
        with pytest.raises(rws.UserError) as error:
            rws.train(file, **options)
        assert said in str(error.value)
    with pytest.raises(rws.UserError, match="no such configuration"):
        rws.train(tmp_path / "gone.yaml")
    assert not (tmp_path / "runs").exists()
