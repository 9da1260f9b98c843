"""`rws bench cycle`: seconds go to the innermost part, and a run's parts are all of it."""

import pytest
from tiny import demo_set, tiny_config

from rws.commands.main import main
from rws.cost.parts import ORDER, REPORT, SELECT, TRAINING, lines, outside, time_cycle
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


def test_what_is_outside_is_neither_a_step_nor_evaluation_nor_what_they_read():
    inside = {(TRAINING, part): 1.0 for part in ("steps", "evaluation", "reading", "augmenting", "bank")}
    others = {(SELECT, "reading"): 1.0, (SELECT, "maps"): 2.0, (TRAINING, "checkpoints"): 1.0}
    assert outside({**inside, **others, (REPORT, REPORT): 1.0}) == pytest.approx(5 / 10)


def test_every_part_of_a_run_is_in_the_table(tmp_path):
    root = demo_set(tmp_path / "demo", train=6, val=2)
    ticks = iter(range(10**9))
    seconds = time_cycle(tiny_config(root, tmp_path / "runs"), 4, lambda: next(ticks))
    assert {inner for _, inner in seconds} == set(ORDER)
    assert {outer for outer, _ in seconds} >= {TRAINING, "finding", SELECT, REPORT, REST}
    assert not (tmp_path / "runs").exists()
    table = lines(seconds)
    assert [line.split()[0] for line in table[1:-2]] == list(ORDER)
    assert float(table[-2].split()[1]) == sum(seconds.values())
    assert table[-1].endswith(f"{100 * outside(seconds):.1f} %")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
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
