"""`rws plan`: its sums against a table by hand and against runs, and what a trial leaves behind."""

import time
from dataclasses import replace

import pytest
import torch
from tiny import demo_set, tiny_config, with_train

from rws.commands.main import main
from rws.config import FusionConfig, SliceConfig
from rws.cost.advice import advice
from rws.cost.clock import Timed
from rws.cost.reckon import _Steps, reckon, with_most_slices
from rws.cost.table import duration
from rws.cost.trial import Costs, measure
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.runtime.device_memory import memory_of, peak_bytes

pytestmark = pytest.mark.usefixtures("tiny_runs")
COSTS = Costs(
    images=4,
    train=40,
    val=10,
    step=1.0,
    start=5.0,
    evaluation=0.5,
    network=1000,
    training=3000,
    memory=8 * 10**9,
    fused_step=2.0,
    look=0.1,
    look_all=0.3,
    select=3.0,
    kept=2.0,
    sliced=0.75,
    bank=100.0,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return demo_set(tmp_path_factory.mktemp("demo"), train=6, val=2)


@pytest.fixture
def config(root, tmp_path):
    """Batches of 2: 20 steps an epoch of 40 images, 40 of all their slices."""
    return tiny_config(root, tmp_path / "runs")


def test_the_sums_are_those_by_hand(config):
    config = replace(config, slices=replace(config.slices, missing_images=10))
    plan = reckon(config, COSTS)
    assert plan.seconds == {
        # Two epochs of 20 steps, 10 images evaluated after each; then twice the same, fused.
        "whole": (40 * 1 + 2 * 5 + 5) + 2 * (40 * 2 + 2 * 5 + 5),
        # As many images as RWS saw: 40 steps and 40 on slices, which are four epochs.
        "plain": 2 * (80 * 1 + 4 * 5 + 5),
        "score": 3 * (10 * 0.3 + 30 * 0.1),
        "slices": 2 * (40 * 1 + 5),
        "select": 2 * 30 * 3,
    }
    assert plan.total == sum(plan.seconds.values())
    assert plan.bank == 2 * 40 * 100
    # Of the last two cycles three networks each, the best and the last one; a state, and the one before.
    assert plan.files == (2 * 3 + 2) * 1000 + 2 * 3000
    assert reckon(config, COSTS, processes=4).total == plan.total / 4


def test_what_a_configuration_leaves_out_costs_nothing(config):
    without = replace(config, cycles=replace(config.cycles, plain=False), fusion=FusionConfig(enabled=False))
    seconds = reckon(without, COSTS).seconds
    assert seconds["plain"] == seconds["score"] == seconds["slices"] == seconds["select"] == 0
    once = reckon(replace(config, cycles=replace(config.cycles, limit=0)), COSTS)
    assert once.seconds["whole"] == 55
    assert once.seconds["select"] == once.bank == 0
    assert reckon(config, replace(COSTS, kept=0.0, fused_step=0.0)).seconds["whole"] == 55
    auto = with_train(replace(config, cycles=replace(config.cycles, limit=0)), epochs="auto", images=80)
    assert reckon(auto, COSTS).seconds["whole"] == 55, "80 images are two epochs of 40"
    twice = replace(config, fusion=FusionConfig(positions="random"))
    assert reckon(twice, COSTS).seconds["select"] == 2 * reckon(config, COSTS).seconds["select"]


def test_the_most_slices_are_those_that_are_kept(config):
    # An image that has slices has 2 / 0.75 of them, and takes 3 s with its own map: two take less.
    most = with_most_slices(config, COSTS)
    assert (most.kept, most.sliced, most.bank) == (2.0, 1.0, 100.0)
    assert most.select == pytest.approx(3.0 * 3 / (1 + 2 / 0.75))
    assert with_most_slices(replace(config, slices=SliceConfig(most_per_image=None)), COSTS) is None
    assert with_most_slices(config, replace(COSTS, kept=0.0, sliced=0.0)) is None


@pytest.mark.parametrize("budget", ["added", "within"])
def test_the_steps_are_those_that_a_run_takes(config, budget):
    config = with_train(config, first_epochs=3, slice_epochs=0.5)
    config = replace(config, cycles=replace(config.cycles, limit=1, budget=budget))
    run = Run(prepare(config)[0])
    run.run()
    first, second = run.state.cycles
    assert first.kept_slices
    steps = _Steps.of(config, replace(COSTS, train=6, kept=first.kept_slices / 6))
    images = [first.whole_images, second.whole_images, first.slice_images, second.plain_images]
    assert [2 * n for n in (steps.first, steps.later, steps.slices, steps.plain)] == images


def test_a_trial_measures_every_part_and_leaves_nothing(config, tmp_path, monkeypatch):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    costs = measure(config)
    assert (costs.images, costs.train, costs.val) == (6, 6, 2)
    values = vars(costs)
    assert min(values[name] for name in ("step", "fused_step", "evaluation", "look", "look_all")) > 0
    assert 0 < costs.kept <= config.slices.most_per_image
    assert 0 < costs.sliced <= 1
    assert min(costs.select, costs.bank, costs.network) > 0
    assert costs.training > costs.network, "it holds the optimizer's state too"
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "runs").exists()


def test_batches_are_timed_after_the_first(monkeypatch):
    clock = iter([0.0, 10.0, 12.0, 14.0, 20.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    timed = Timed(["image", "image", "image"])
    assert list(timed) == ["image"] * 3
    assert timed.each == (14 - 10) / 2
    alone = Timed(["image"])
    assert alone.each == 0
    monkeypatch.setattr(time, "perf_counter", iter([1.0, 4.0]).__next__)
    assert list(alone) == ["image"]
    assert alone.each == 3


def test_what_does_not_fit_is_told_with_the_way_out(config):
    plan = reckon(config, COSTS)
    (most,) = advice(config, plan, memory=16e9, disk=1e9)
    assert most.startswith("most of the time is for train; less takes: fewer --train.epochs")
    memory, disk, _ = advice(config, plan, memory=8e9, disk=100)
    assert memory.startswith("memory: 8.0 of 8.0 GB; take --train.batch_size 1 for 2")
    assert disk.endswith("take another --runs")
    large = replace(plan, bank=2e12)
    assert "--bank.online true" in advice(config, large, memory=16e9, disk=1e12)[0]


def test_the_command_says_it_in_a_table(root, capsys):
    flags = ["--config", "demo", "--data.root", str(root), "--model.name", "tiny", "--model.weights", "none"]
    flags += [
        "--data.workers",
        "0",
        "--data.base_size",
        "32",
        "--data.crop_size",
        "[32, 48]",
        "--device",
        "cpu",
    ]
    flags += ["--device", "cpu", "--data.partial", "true", "--train.batch_size", "2", "--slices.step", "0.25"]
    assert main(["plan", *flags, "--gpus", "2"]) == 0
    out = capsys.readouterr().out
    assert "6 training and 2 validation images" in out
    assert "shared out among 2 devices" in out
    rows = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert rows == ["step", "train", "plain", "look", "slices", "select", "all"]
    assert "most of the time is for " in out


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--gpus 0", "command line: --gpus 0: must be 1 or more"),
        ("--config sc_cam_voc", "rws plan knows no rounds of SC-CAM"),
        ("--config folder --data.root absent", "absent"),
    ],
)
def test_what_cannot_be_planned_is_one_line(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plan", *flags.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_durations_read_well():
    assert [duration(s) for s in (5.2, 300, 9000)] == ["5 s", "5 min", "2.5 h"]


def test_a_process_holds_memory_and_no_more_than_there_is():
    cpu = torch.device("cpu")
    before = peak_bytes(cpu)
    held = torch.ones(50_000_000)
    assert peak_bytes(cpu) >= before + 100_000_000 or before > 200_000_000
    assert memory_of(cpu) > held.nbytes
