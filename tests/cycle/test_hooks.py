"""Hooks: when they are called, and what those of every run do."""

from dataclasses import replace

import pytest
import torch
from tiny import TINY, NoScalars, demo_set, same_tensors, tiny_config

from rws.cycle.context import Epoch, Hook
from rws.cycle.hooks import KeepBest, Log
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.look.cam_vis import pictures
from rws.models import FAMILIES
from rws.runs import checkpoint, loggers
from rws.runs.log import Reporter
from rws.runs.record import STEPS, CycleRecord


@pytest.fixture(scope="module", autouse=True)
def light():
    """The tiny network among the families, no tensorboard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tiny", TINY)
        patch.setattr(loggers, "SummaryWriter", NoScalars)
        yield


class Told(Hook):
    """Writes down its moments."""

    def __init__(self):
        self.moments: list[tuple] = []

    def after_epoch(self, run, epoch):
        assert epoch.record["step"] > 0
        self.moments.append(("epoch", epoch.step, epoch.cycle, epoch.images))

    def after_scoring(self, run, k, scored):
        assert run.artifacts.boxes(k)
        self.moments.append(("scoring", k, len(run.records)))

    def after_step(self, run, step, k):
        assert run.artifacts.read_state().cycles == run.records
        self.moments.append(("step", step, k))

    def at_end(self, run, summary):
        self.moments.append(("end", summary and summary["stopped"]))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return demo_set(tmp_path_factory.mktemp("demo") / "set")


def test_cam_vis_looks_where_nothing_else_does(root, tmp_path):
    """Without slices the maps are drawn all the same, and without cam_vis nothing is looked at."""
    config = tiny_config(root, tmp_path, limit=0)
    config = replace(config, fusion=replace(config.fusion, enabled=False))
    for name, asked in (("looked", True), ("not", False)):
        one = replace(config, name=name, cam_vis=asked, cam_vis_images=2)
        Run(prepare(one)[0], pictures(one)).run()
        assert len(list((tmp_path / name / "cam").rglob("*.png"))) == (2 if asked else 0)
        assert not list((tmp_path / name).rglob("slices.json"))


def test_a_hook_is_told_of_every_moment_in_order(root, tmp_path):
    told = Told()
    run = Run(prepare(tiny_config(root, tmp_path, limit=1))[0], [told])
    run.run()
    expected = [*(("step", step, 0) for step in STEPS), *(("step", step, 1) for step in list(STEPS)[:3])]
    assert [m for m in told.moments if m[0] == "step"] == expected
    assert told.moments[:3] == [("epoch", "whole", 0, 4), ("epoch", "whole", 0, 8), ("step", "whole", 0)]
    scoring = told.moments.index(("scoring", 0, 1))
    assert told.moments[scoring + 1] == ("step", "score", 0)
    assert [m for m in told.moments if m[0] == "scoring"] == [("scoring", 0, 1), ("scoring", 1, 2)]
    assert told.moments[-1] == ("end", "cycle limit 1")
    sliced = next(m for m in told.moments if m[:2] == ("epoch", "slices"))
    again = next(m for m in told.moments if m[:3] == ("epoch", "whole", 1))
    seen = run.state.cycles[0].images_seen
    assert (sliced[3] > 8, again[3]) == (True, seen + 4), "images of the trainings before are counted"


def test_a_run_that_is_not_looked_into_ends_without_a_summary(root, tmp_path):
    told = Told()
    Run(prepare(tiny_config(root, tmp_path, limit=1))[0], [told]).train()
    assert told.moments[-1] == ("end", None)
    assert ("scoring", 1, 2) not in told.moments


def test_a_hook_changes_no_number(root, tmp_path):
    ends = []
    for name, hooks in (("with", [Told()]), ("without", [])):
        config = replace(tiny_config(root, tmp_path, limit=1), name=name)
        Run(prepare(config)[0], hooks).run()
        ends.append(checkpoint.load(tmp_path / name / "last.pt")["model"])
    assert same_tensors(*ends)


# Of every run.


@pytest.fixture
def run(root, tmp_path):
    """A run that has only been prepared."""
    return Run(prepare(tiny_config(root, tmp_path))[0])


def epoch(cycle: int, miou: float | None, step: str = "whole", number: int = 1) -> Epoch:
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(network.weight, miou or 0.0)
    record = {"epoch": number, "loss": 1.0, "step": 2} | ({} if miou is None else {"miou": miou})
    return Epoch(step, cycle, network, 2, record)


def best(run: Run) -> tuple[int, float]:
    stored = checkpoint.load(run.artifacts.best)
    assert stored["model"]["weight"].item() == stored["miou"]
    return stored["cycle"], stored["miou"]


def test_the_best_network_is_kept_and_cycle_0_gives_way(run):
    keep = KeepBest()
    keep.after_epoch(run.context, epoch(0, None))
    assert not run.artifacts.best.exists()
    for miou, expected in ((50.0, 50.0), (40.0, 50.0), (60.0, 60.0)):
        keep.after_epoch(run.context, epoch(0, miou))
        assert best(run) == (0, expected)
    keep.after_epoch(run.context, epoch(1, 30.0))
    assert best(run) == (1, 30.0), "one of cycle 0 is from before RWS"
    keep.after_epoch(run.context, epoch(1, 99.0, step="plain"))
    keep.after_epoch(run.context, epoch(1, 20.0))
    assert best(run) == (1, 30.0)
    keep.after_epoch(run.context, epoch(2, 31.0))
    assert best(run) == (2, 31.0)


def test_the_best_network_of_a_run_that_goes_on_is_remembered(run):
    KeepBest().after_epoch(run.context, epoch(1, 30.0))
    KeepBest().after_epoch(run.context, epoch(2, 29.0))
    assert best(run) == (1, 30.0)


def test_the_log_names_steps_in_words_for_people_and_by_key_for_files(run, capsys):
    log = Log(Reporter(run.artifacts.folder))
    log.after_epoch(run.context, epoch(0, 12.345, number=5))
    log.after_epoch(run.context, epoch(3, None, step="slices"))
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "  cycle 0, train, epoch 5: loss 1.0000, mIoU 12.35",
        "  cycle 3, slices, epoch 1: loss 1.0000",
    ]
    keys = [line.split('"')[3] for line in run.artifacts.log.read_text().splitlines()]
    assert keys == ["whole-0", "slices-3"]


def test_the_log_has_a_row_after_scoring_alone(run, capsys):
    record = CycleRecord(0, whole=[{"miou": 12.0}], weak_slices=3, windows=9)
    context = replace(run.context, records=(record,))
    log = Log(Reporter(run.artifacts.folder))
    for step in STEPS:
        log.after_step(context, step, 0)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2, "a head and a row"
    assert lines[1].split() == ["0", "3", "of", "9", "-", "12.00", "-", "-"]
