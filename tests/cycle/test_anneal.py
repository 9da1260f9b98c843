"""One fall of the learning rate over all trainings of a run, or one in each (`cycles.anneal`)."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from tiny import demo_set, same_tensors, tiny_config, with_train

from rws.cli import dump
from rws.compare.arms import shared_steps
from rws.config import Config
from rws.config.method import CycleConfig
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.errors import UserError
from rws.runs.identity import check_folder, write_configuration
from rws.training.optimization import learning_rate

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture
def config(tmp_path):
    """A function that makes a configuration of a demo set with four images: two steps an epoch."""
    root = demo_set(tmp_path / "set", train=4, val=2)

    def make(**cycles) -> Config:
        made = with_train(
            tiny_config(root, tmp_path / "runs", **cycles),
            first_epochs=3,
            warmup_epochs=0.0,
            slice_epochs=0.25,
        )
        return replace(made, name="-".join(map(str, cycles.values())))

    return make


def rates(config: Config, part: str = "whole") -> list[float]:
    """The learning rate at the last step of each epoch, over all trainings of a run."""
    run = Run(prepare(config)[0])
    run.run()
    return [epoch["lr"] for cycle in run.state.cycles for epoch in getattr(cycle, part)]


def curve(config: Config, steps: int) -> list[float]:
    """One fall over `steps`, at the last step of each epoch of two."""
    return [learning_rate(step, steps, 2, config.train) for step in range(1, steps, 2)]


def test_trainings_that_go_on_share_one_fall(config):
    asked = config(limit=2, start="last", budget="added")
    found = rates(asked)
    assert found == pytest.approx(curve(asked, 6 + 4 + 4))
    assert all(a > b for a, b in pairwise(found))


def test_trainings_from_the_initial_weights_fall_each(config):
    asked = config(limit=1, start="initial", budget="added")
    assert rates(asked) == pytest.approx(curve(asked, 6) + curve(asked, 4))


def test_each_brings_the_restart_back(config):
    asked = config(limit=1, start="last", budget="added", anneal="each")
    assert rates(asked) == pytest.approx(curve(asked, 6) + curve(asked, 4))


@pytest.mark.parametrize("budget", ["added", "within"])
def test_the_plain_network_falls_by_the_same_curve_to_its_own_end(config, budget):
    asked = config(limit=1, start="last", budget=budget)
    run = Run(prepare(asked)[0])
    run.run()
    first, second = run.state.cycles
    assert [e["lr"] for e in first.plain] == [e["lr"] for e in first.whole]
    # Slices are within the steps of a cycle, or added to them: either way the last step has the least rate.
    steps = second.plain_images // asked.train.batch_size
    last = 6 + 4 * (steps - 1) / steps
    assert second.plain[-1]["lr"] == pytest.approx(learning_rate(last, 10, 2, asked.train))
    assert second.whole[-1]["lr"] == pytest.approx(learning_rate(9, 10, 2, asked.train))


def test_a_run_that_falls_once_goes_on_to_its_limit_whatever_delta_says(config):
    once = Run(prepare(config(limit=2, start="last", delta=10**6))[0])
    assert once.run()["stopped"] == "cycle limit 2"
    each = Run(prepare(config(limit=2, start="last", delta=10**6, anneal="each"))[0])
    assert "fewer than" in each.run()["stopped"]


def test_an_ordinary_training_is_the_same_bit_for_bit(config):
    weights = []
    for anneal in ("once", "each"):
        run = Run(prepare(config(limit=0, start="last", anneal=anneal))[0])
        run.run()
        weights.append(torch.load(run.context.artifacts.last, weights_only=True)["model"])
    assert same_tensors(*weights)


def test_one_fall_over_trainings_that_begin_anew_is_refused():
    with pytest.raises(UserError, match=r"cycles\.anneal once"):
        CycleConfig(anneal="once", start="initial")


def test_arms_share_their_first_training_where_the_rate_falls_alike(config):
    one = config(limit=1, start="last")
    assert "whole" in shared_steps(one, replace(one, fusion=replace(one.fusion, mode="gentle")))
    assert shared_steps(one, config(limit=2, start="last")) == []
    assert shared_steps(one, with_train(one, epochs=4)) == []
    alone = config(limit=1, start="last", anneal="each")
    assert "whole" in shared_steps(alone, config(limit=2, start="last", anneal="each"))


def test_a_run_from_before_the_option_does_not_go_on_by_another_rule(config, monkeypatch):
    asked = config(limit=1, start="last")
    without = dump(asked).replace("  anneal: null\n", "")
    monkeypatch.setattr("rws.runs.identity.dump", lambda _: without)
    folder = check_folder(asked)
    folder.mkdir(parents=True)
    write_configuration(folder, asked)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"cycles\.anneal"):
        check_folder(asked, resume=True)
    assert check_folder(replace(asked, cycles=replace(asked.cycles, anneal="each")), resume=True) == folder
