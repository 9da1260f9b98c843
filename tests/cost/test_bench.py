"""`rws bench cycle`: seconds go to the innermost part, and a run's parts are all of it."""

from dataclasses import replace

import pytest
from tiny import demo_set, tiny_config

from rws.commands.main import main
from rws.cost.parts import (
    AGAIN,
    FIND,
    FIRST,
    REPORT,
    SELECT,
    TRAINING,
    Amounts,
    Measured,
    thinned,
    time_cycle,
)
from rws.cost.shares import ORDER, by_part, lines, outside
from rws.cost.stopwatch import REST, Stopwatch

pytestmark = pytest.mark.usefixtures("tiny_runs")


class Clock:
    """Goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Work:
    """An outer function that calls an inner one."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def outer(self, seconds: float) -> str:
        self.clock.now += seconds
        self.inner()
        self.clock.now += seconds
        return "done"

    def inner(self) -> None:
        self.clock.now += 5


class Derived(Work):
    """Has no function of its own."""


def test_seconds_go_to_the_innermost_part_and_functions_are_put_back():
    clock = Clock()
    work, before, watch = Derived(clock), dict(vars(Work)), Stopwatch(clock)
    with watch.running((Derived, "outer", "out"), (Work, "inner", "in")):
        clock.now += 1
        assert work.outer(2) == "done"
        work.inner()
    clock.now += 100
    assert watch.seconds == {(REST, REST): 1, ("out", "out"): 4, ("out", "in"): 5, ("in", "in"): 5}
    assert dict(vars(Work)) == before
    assert "outer" not in vars(Derived)


def test_an_error_ends_its_part():
    clock = Clock()
    watch = Stopwatch(clock)
    with watch.running((Work, "outer", "out")):
        with pytest.raises(TypeError):
            Work(clock).outer("long")
        clock.now += 3
    assert watch.seconds[REST, REST] == 3


def test_a_part_may_be_named_by_what_its_function_is_given():
    clock = Clock()
    work, watch = Work(clock), Stopwatch(clock)
    with watch.running((Work, "outer", lambda work, seconds: f"of {seconds}")):
        work.outer(2)
        work.outer(3)
    assert watch.seconds == {(REST, REST): 0, ("of 2", "of 2"): 9, ("of 3", "of 3"): 11}


def test_what_is_outside_is_neither_a_step_nor_evaluation_nor_what_they_read():
    inside = {(TRAINING, part): 1.0 for part in ("steps", "evaluation", "reading", "augmenting", "bank")}
    others = {(SELECT, "reading"): 1.0, (SELECT, "maps"): 2.0, (TRAINING, "checkpoints"): 1.0}
    assert outside({**inside, **others, (REPORT, REPORT): 1.0}) == pytest.approx(5 / 10)
    assert outside({**inside, (FIRST, "steps"): 3.0, (AGAIN, "reading"): 2.0}) == pytest.approx(2 / 10)


FEW = Amounts(cycles=1, steps=2, train=16, val=4, again=4)
ALL = Amounts(cycles=3, steps=12, train=90, val=40, again=20)


@pytest.mark.parametrize(
    ("outer", "inner", "times"),
    [
        (FIRST, "steps", 6),
        (FIRST, "evaluation", 10),
        (FIRST, "checkpoints", 1),
        (FIRST, FIRST, 1),
        (TRAINING, "steps", 3 * 6),
        (TRAINING, "reading", 3 * 6),
        (TRAINING, "checkpoints", 3),
        (TRAINING, TRAINING, 3),
        (SELECT, "maps", 3 * 90 / 16),
        (SELECT, SELECT, 3 * 90 / 16),
        (FIND, "maps", 4 / 2 * 90 / 16),
        (AGAIN, AGAIN, 5),
        (REPORT, "maps", 1),
        (REST, REST, 1),
    ],
)
def test_the_whole_run_has_each_part_as_often_as_its_steps_images_and_cycles(outer, inner, times):
    found = Measured({(outer, inner): 2.0}, FEW, ALL).whole_run()
    assert found == {(outer, inner): pytest.approx(2 * times)}


def test_a_run_of_all_images_and_cycles_is_the_whole_run(tmp_path):
    config = tiny_config(demo_set(tmp_path / "demo", train=6, val=2), tmp_path / "runs")
    ticks = iter(range(10**9))
    found = time_cycle(replace(config, cycles=replace(config.cycles, limit=1)), 6, lambda: next(ticks))
    assert found.few == found.all
    assert found.whole_run() == found.seconds


def test_every_part_of_a_run_is_in_the_table(tmp_path):
    root = demo_set(tmp_path / "demo", train=6, val=2)
    ticks = iter(range(10**9))
    found = time_cycle(tiny_config(root, tmp_path / "runs"), 4, lambda: next(ticks))
    assert {FIRST if inner == TRAINING else inner for _, inner in found.seconds} == {*ORDER, FIRST} - {
        TRAINING
    }
    assert {outer for outer, _ in found.seconds} >= {FIRST, TRAINING, FIND, SELECT, AGAIN, REPORT, REST}
    assert sum(by_part(found.seconds).values()) == sum(found.seconds.values())
    assert not (tmp_path / "runs").exists()
    table = lines(found)
    assert [line.split()[0] for line in table[1:-3]] == [part.split()[0] for part in ORDER]
    assert [float(value) for value in table[-3].split()[1:]] == [
        sum(found.seconds.values()),
        round(sum(found.whole_run().values())),
    ]
    shares = (
        f"{100 * outside(found.whole_run()):.1f} % of the whole run, {100 * outside(found.seconds):.1f} %"
    )
    assert f": {shares} of this one" in table[-2]


def test_without_cycles_nothing_is_looked_for_nor_selected(tmp_path):
    config = tiny_config(demo_set(tmp_path / "demo", train=6, val=2), tmp_path / "runs")
    fusion, cycles = replace(config.fusion, enabled=False), replace(config.cycles, limit=0, plain=False)
    config = replace(config, fusion=fusion, cycles=cycles)
    ticks = iter(range(10**9))
    found = time_cycle(config, 4, lambda: next(ticks))
    assert found.few.cycles == found.all.cycles == 0
    assert {outer for outer, _ in found.seconds} == {FIRST, AGAIN, REPORT, REST}


def test_slices_are_kept_of_as_many_images_as_can_be():
    boxes = {"a": [(0, 0, 2, 2), (1, 1, 2, 2)], "b": [], "c": [(2, 2, 2, 2), (3, 3, 2, 2), (4, 4, 2, 2)]}
    first = {"a": [(0, 0, 2, 2)], "b": [], "c": [(2, 2, 2, 2)]}
    assert thinned(boxes, 2 / 3) == first
    assert thinned(boxes, 1) == first | {"a": boxes["a"]}
    assert thinned(boxes, 0.01) == first | {"c": []}
    assert thinned(boxes, 9) == boxes


def test_a_run_has_as_many_slices_as_it_was_told(tmp_path):
    config = tiny_config(demo_set(tmp_path / "demo", train=6, val=2), tmp_path / "runs")
    ticks = iter(range(10**9))
    assert time_cycle(config, 4, lambda: next(ticks)).slices > 0.5
    assert time_cycle(config, 4, lambda: next(ticks), 0.5).slices == 0.5


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("cycle --slices 0", "--slices 0: must be above 0"),
        ("cycle --images 0", "--images 0: must be 1 or more"),
        ("cycle --config sc_cam_voc", "rws bench knows no rounds of SC-CAM"),
        ("cycles", "invalid choice: 'cycles'"),
    ],
)
def test_what_cannot_be_measured_is_one_line(flags, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *flags.split()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
