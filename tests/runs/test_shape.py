"""What JSON holds, held against annotations."""

from dataclasses import dataclass
from typing import Literal, TypedDict

import pytest

from rws.runs.shape import misfit


class Point(TypedDict):
    x: float
    name: str


@dataclass
class Path:
    points: list[Point]
    box: tuple[int, int]
    by: dict[str, int | None]
    kind: Literal["a", "b"] = "a"


GOOD = {"points": [{"x": 1, "name": "p"}], "box": [1, 2], "by": {"k": None, "l": 3}, "kind": "b"}


def test_what_fits():
    assert misfit(GOOD, Path) == ""
    assert misfit({**GOOD, "more": []}, Path) == "", "keys that nobody asks for are let be"
    assert misfit({k: v for k, v in GOOD.items() if k != "kind"}, Path) == "", "it has a default"
    assert misfit([], list[int]) == misfit(True, bool) == misfit(None, int | None) == ""


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": {}}, "it.points is {}, not list"),
        ({"points": [{"x": "1", "name": "p"}]}, "it.points[0].x is '1', not float"),
        ({"points": [{"x": True, "name": "p"}]}, "it.points[0].x is True, not float"),
        ({"points": [{"x": float("nan"), "name": "p"}]}, "it.points[0].x is nan, not float"),
        ({"points": [{"x": float("inf"), "name": "p"}]}, "it.points[0].x is inf, not float"),
        ({"points": [{"name": "p"}]}, "it.points[0] lacks x"),
        ({"points": [7]}, "it.points[0] is 7, not dict"),
        ({"box": [1, 2, 3]}, "it.box has 3 items, not 2"),
        ({"box": [1, 2.0]}, "it.box[1] is 2.0, not int"),
        ({"by": {"k": "3"}}, "it.by.k is '3', not int"),
        ({"by": []}, "it.by is [], not dict"),
        ({"kind": "c"}, "it.kind is 'c', not one of ('a', 'b')"),
        ({"kind": []}, "it.kind is [], not one of ('a', 'b')"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(change, said):
    assert misfit({**GOOD, **change}, Path) == said


def test_what_is_no_dictionary_or_lacks_a_key():
    assert misfit([GOOD], Path).startswith("it is [")
    assert misfit({}, Path) == "it lacks box"
