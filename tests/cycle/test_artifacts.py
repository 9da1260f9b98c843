"""One table says what lies where in a run's folder."""

import ast
import json
import os
from pathlib import Path

import pytest
import torch
from tiny import REPOSITORY

from rws.compare import arms
from rws.config import Config
from rws.config.option import STEPS as OPTION_STEPS
from rws.cycle.artifacts import LEFT, Artifacts
from rws.cycle.recovery import latest_sound_state
from rws.cycle.steps import ACTIONS
from rws.data.classes import DEMO
from rws.errors import DamagedFile
from rws.runs import checkpoint
from rws.runs.model_file import Card
from rws.runs.record import STEPS, CycleRecord, RunState

OWN = {*LEFT.values(), "cycles", "state.json", "advantaged", "training.pt", "best.pt"}


def test_the_steps_are_the_same_everywhere():
    assert list(STEPS) == list(LEFT) == list(ACTIONS)
    assert list(OPTION_STEPS) == [*STEPS, "fuse"], "the training of the next cycle"


def words_of(path: Path) -> set[str]:
    """The strings of a module that take part in a path."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    divided = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)]
    return {c.value for n in divided for c in ast.walk(n) if isinstance(c, ast.Constant)}


@pytest.mark.parametrize("wing", ["compare", "cycle", "look", "runs", "train"])
def test_no_other_module_makes_a_path_of_these_names(wing):
    for path in (REPOSITORY / "rws" / wing).rglob("*.py"):
        if path.name != "artifacts.py":
            assert words_of(path) & OWN == set(), path
    assert words_of(REPOSITORY / "rws/cycle/artifacts.py") >= {"cycles", "state.json", "advantaged"}


def test_recovery_and_arms_go_by_the_table(tmp_path, monkeypatch):
    """A file that has another name in the table has it for both."""
    monkeypatch.setitem(LEFT, "score", "boxes.json")
    one, other = (Config(name=name, runs=str(tmp_path)) for name in "ab")
    run, state = Artifacts(tmp_path / "a"), RunState("slices", 0, (CycleRecord(0),))
    checkpoint.save(run.left("whole", 0), {"model": {}})
    run.write_state("whole", 0, state)
    run.write_boxes(0, {"x": [(0, 0, 2, 2)]})
    run.write_state("score", 0, state)
    run.log.write_text("")
    assert (tmp_path / "a/cycles/0/boxes.json").is_file()
    assert latest_sound_state(run) == (state, [])
    arms.fork(one, other, "score")
    boxes = tmp_path / "b/cycles/0/boxes.json"
    assert boxes.is_file()
    boxes.unlink()  # it is a link
    boxes.write_text("{")
    assert "boxes.json: damaged" in latest_sound_state(Artifacts(tmp_path / "b"))[1][0]


def test_what_is_taken_over_is_linked_and_begins_where_the_other_was(tmp_path):
    one, other = Artifacts(tmp_path / "one"), Artifacts(tmp_path / "other")
    checkpoint.save(one.left("whole", 0), {"model": {"a": torch.ones(2)}})
    first, second = RunState("plain", 0, (CycleRecord(0),)), RunState("slices", 0, (CycleRecord(0),))
    one.write_state("whole", 0, first)
    one.write_boxes(0, {"x": []})
    one.write_state("score", 0, second)
    other.take_over(one, ["whole", "score"])
    assert other.read_state() == second
    assert other.read_state(other.after("whole", 0)) == first
    assert torch.equal(checkpoint.load(other.last)["model"]["a"], torch.ones(2))
    assert os.path.samefile(one.left("score", 0), other.left("score", 0))
    one.write_boxes(0, {"x": [(1, 2, 3, 4)]})
    assert other.boxes(0) == {"x": []}, "a run replaces files and never writes into them"
    assert one.boxes(0) == {"x": [(1, 2, 3, 4)]}


def test_clean_keeps_the_cycle_before_and_all_boxes(tmp_path):
    run = Artifacts(tmp_path)
    for k in range(3):
        for step in LEFT:
            path = run.left(step, k)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir() if step == "select" else path.write_text("{}")
    run.clean(2)
    assert run.cycles() == [0, 1, 2]
    there = [[step for step in LEFT if run.left(step, k).exists()] for k in range(3)]
    assert there == [["score"], list(LEFT), list(LEFT)]


def test_a_network_is_saved_for_its_step_and_as_the_last_one(tmp_path):
    run, network = Artifacts(tmp_path), torch.nn.Conv2d(3, 2, 1)
    card = Card("tiny", aux=False, stages=("a",), classes=DEMO, base_size=32)
    run.save("plain", 1, network, card, {"epoch": 4})
    assert not run.last.exists()
    run.save("whole", 1, network, card, {"epoch": 4, "miou": 7.5})
    for path in (run.last, run.left("whole", 1)):
        stored = checkpoint.load(path)
        assert (stored["cycle"], stored["epoch"], stored["miou"]) == (1, 4, 7.5)
    assert torch.equal(run.network(1)["weight"], network.weight)
    assert checkpoint.load(run.left("plain", 1))["miou"] == -1.0


def test_a_state_that_is_none_is_told(tmp_path):
    run = Artifacts(tmp_path)
    assert run.read_state() == RunState()
    run.state.write_text(json.dumps({"step": "whole"}))
    with pytest.raises(DamagedFile, match=r"state\.json: damaged"):
        run.read_state()
