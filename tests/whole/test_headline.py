"""experiments/headline.json says what the records say."""

import json

import pytest
from tiny import REPOSITORY

from tools import headline


def test_the_file_is_as_its_command_makes_it():
    stored = json.loads((REPOSITORY / "experiments" / "headline.json").read_text())
    assert stored == json.loads(json.dumps(headline.headline())), "run `python -m tools.headline`"


def half(ids: list[str], right: int, units: float) -> dict:
    """A record of images of two pixels, in a way `plain` with `right` of them right in the first image."""
    overlaps = [[[right], [2]], *([[[2], [2]]] * (len(ids) - 1))]
    both = {"plain": overlaps, "rws_3": [[[2], [2]]] * len(ids)}
    run = {"list": "val", "ids": ids, "overlaps": both, "units": {"plain": 1.0, "rws_3": units}}
    return {"seeds": [0], "runs": [run]}


def test_halves_are_one_list_again():
    found = headline.joined(half(["a", "c", "e"], 1, 3.0), half(["b"], 0, 2.0))
    assert found["runs"][0]["ids"] == ["a", "c", "e", "b"]
    assert found["results"]["rws_3"]["units"] == pytest.approx((3 * 3 + 2) / 4)
    assert found["results"]["plain"]["miou"]["each"] == [pytest.approx(100 * 5 / 8)]
    assert found["results"]["rws_3"]["against_plain"]["mean"] == pytest.approx(100 * 3 / 8)


def test_halves_of_other_seeds_do_not_join():
    with pytest.raises(ValueError, match="halves of seeds"):
        headline.joined(half(["a"], 1, 3.0), {**half(["b"], 1, 3.0), "seeds": [1]})


def test_rivals_are_no_form_of_ours():
    facts = headline.headline()["training_free"]
    assert facts
    for each in facts.values():
        assert not [name for name in each["rivals"] if name.startswith(("rws", "oracle", "plain"))]
        assert {"rws_3"} <= set(each["rws"])
        assert len(each["plain"]) == len(each["seeds"])
