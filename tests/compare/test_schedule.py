"""The paper's own accounting: plain and fused trainings of one schedule, epoch by epoch."""

import json
from dataclasses import replace

import pytest
import yaml
from tiny import TINY, NoScalars, demo_set, tiny_config

from rws.cli import dump
from rws.compare import schedule
from rws.compare.__main__ import main as compare_main
from rws.models import FAMILIES
from rws.runs import loggers
from rws.runs.record import CycleRecord

SETTINGS = {
    "cycles.budget": "added",
    "cycles.start": "initial",
    "cycles.limit": 1,
    "train.epochs": 2,
    "train.eval_every": 1,
}


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """A function that writes an experiment and returns the flags that name it."""
    monkeypatch.setitem(FAMILIES, "tiny", TINY)
    monkeypatch.setattr(loggers, "SummaryWriter", NoScalars)
    root = demo_set(tmp_path / "set", train=4, val=2)
    config = replace(tiny_config(root, tmp_path / "runs"), name="base")
    (tmp_path / "base.yaml").write_text(dump(config))

    def write(**settings):
        arms = {"rws": {}, "random": {"fusion.positions": "random"}}
        tree = {"name": "tiny_schedule", "base": "base.yaml", "seeds": [0, 1], "arms": arms}
        tree["settings"] = SETTINGS | settings
        (tmp_path / "e.yaml").write_text(yaml.safe_dump(tree))
        return ["--config", str(tmp_path / "e.yaml"), "--out", str(tmp_path / "out")]

    return write


def test_the_table_has_the_validation_miou_of_both_trainings_after_each_epoch(experiment, tmp_path, capsys):
    assert schedule.main(experiment()) == 0
    found = json.loads((tmp_path / "out" / "schedule.json").read_text())
    assert found["seeds"] == [0, 1]
    results = found["results"]
    assert list(results["plain"]) == ["1", "2", "mean"]
    for place, seed in enumerate(found["seeds"]):
        lines = (
            (tmp_path / "runs" / "tiny_schedule" / str(seed) / "rws" / "log.jsonl").read_text().splitlines()
        )
        scores = {
            (line["training"], line["epoch"]): line["miou"]
            for line in map(json.loads, lines)
            if "miou" in line
        }
        for epoch in (1, 2):
            plain, fused = scores["whole-0", epoch], scores["whole-1", epoch]
            assert results["plain"][str(epoch)]["each"][place] == plain
            assert results["arms"]["rws"][str(epoch)]["each"][place] == fused
            assert results["differences"]["rws"][str(epoch)]["each"][place] == fused - plain
    assert "Not counted" in capsys.readouterr().out


def test_means_and_differences_are_those_of_the_numbers():
    def records(plain, fused):
        history = [[{"miou": value} for value in each] for each in (plain, fused)]
        return [CycleRecord(k, whole=each, whole_images=8, slice_images=3) for k, each in enumerate(history)]

    found = schedule.results(
        {"rws": [records([50.0, 60.0], [53.0, 61.0]), records([40.0, 50.0], [41.0, 53.0])]}
    )
    assert found["plain"]["mean"]["each"] == [55.0, 45.0]
    assert found["differences"]["rws"]["1"]["each"] == [3.0, 1.0]
    assert found["differences"]["rws"]["mean"]["mean"] == 2.0
    assert found["uncounted"] == {"plain": 8, "slices": 3}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cycles.budget", "within"),
        ("cycles.start", "last"),
        ("cycles.limit", 2),
        ("train.eval_every", 2),
        ("train.first_epochs", 3),
        ("fusion.enabled", False),
    ],
)
def test_settings_that_make_two_schedules_are_refused_in_one_line(experiment, key, value, capsys):
    assert schedule.main(experiment(**{key: value})) != 0
    said = capsys.readouterr().err.strip()
    assert key in said
    assert "\n" not in said


def test_an_experiment_of_equal_schedule_is_not_compared_at_equal_budget(experiment, capsys):
    assert compare_main(experiment()) != 0
    assert "cycles.budget must be within" in capsys.readouterr().err
