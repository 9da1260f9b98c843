"""Bars and lines: plain lines now and then in a log, and nothing that a terminal would obey."""

import ast
import io
import re
import sys

import pytest
from tiny import REPOSITORY

from rws.runtime import bars
from rws.runtime.bars import SECONDS, say, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """The seconds that the bars see, to be set."""
    now = [0.0]
    monkeypatch.setattr(bars.time, "monotonic", lambda: now[0])
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    return now


def steps(clock: list[float], count: int, seconds: float, **options) -> None:
    for _ in tracked(range(count), "check train", unit="image", **options):
        clock[0] += seconds


@pytest.mark.parametrize("leave", [True, False])
def test_in_a_log_a_bar_is_a_line_now_and_then(monkeypatch, clock, leave):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    steps(clock, 1000, 0.1, leave=leave)
    lines = sys.stderr.getvalue().splitlines()
    assert len(lines) == int(100 / SECONDS)
    assert re.fullmatch(r"check train:  30% 30\d/1000 \[00:30<01:\d\d, 10.00image/s\]", lines[0])
    assert sys.stderr.getvalue().isascii()
    assert "\r" not in sys.stderr.getvalue()


def test_in_a_log_a_short_bar_is_nothing(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    steps(clock, 200, 0.1)
    with tracked(total=5) as outer, tracked(total=5, leave=False) as inner:
        say("between", file=io.StringIO())
        inner.update()
        outer.update()
    assert sys.stderr.getvalue() == ""


def test_a_bar_within_a_bar_makes_lines_as_well(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with tracked(total=4, desc="outer") as outer:
        for _ in range(4):
            steps(clock, 40, 1)
            outer.update()
    lines = sys.stderr.getvalue().splitlines()
    assert [line.split(":")[0] for line in lines] == ["check train", "outer"] * 4


def test_without_a_total_the_count_is_shown(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with tracked(desc="film", unit=" frames") as bar:
        for _ in range(31):
            clock[0] += 1
            bar.update()
    assert sys.stderr.getvalue().startswith("film: 30 frames [00:30")


def test_on_a_terminal_it_is_a_bar(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", Terminal())
    steps(clock, 20, 1, ncols=80)
    assert sys.stderr.getvalue().count("\r") > 10
    assert "100%|######" in sys.stderr.getvalue()


def test_a_bar_that_is_switched_off_says_nothing(monkeypatch, clock):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    steps(clock, 1000, 1, disable=True)
    assert sys.stderr.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_names_do_not_control_the_terminal(monkeypatch, clock, stream, capsys):
    monkeypatch.setattr(sys, "stderr", stream())
    for _ in tracked(range(2), "a\x1b[31mb\nc", ncols=80):
        clock[0] += SECONDS
    say("x\x1b]0;title\x07", "y\rz\n")
    assert "\x1b[31m" not in sys.stderr.getvalue()
    assert r"a\x1b[31mb\nc" in sys.stderr.getvalue()
    assert capsys.readouterr().out == "x\\x1b]0;title\\x07\ny\\rz\\n\n"


def called(path) -> set[str]:
    """The names that a file calls, as they are written: print, tqdm, tqdm.write."""
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return {ast.unparse(function) for function in calls}


# errors says the last line of a command, moved its only one; bars is what all others say theirs with.
OWN_WORDS = {"rws/errors.py", "rws/moved/__init__.py", "rws/runtime/bars.py"}


@pytest.mark.parametrize(
    "path",
    [*(REPOSITORY / "rws").rglob("*.py"), REPOSITORY / "train.py", REPOSITORY / "predict.py"],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_all_that_is_said_goes_through_say_and_tracked(path):
    found = called(path) & {"print", "tqdm", "tqdm.write", "sys.stdout.write", "sys.stderr.write"}
    assert str(path.relative_to(REPOSITORY)) in OWN_WORDS or not found
