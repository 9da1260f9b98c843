"""experiments/headline.json says what the records say."""

import json

import pytest
from tiny import REPOSITORY

from tools import headline


def test_the_file_is_as_its_command_makes_it():
    stored = json.loads((REPOSITORY / "experiments" / "headline.json").read_text())
    assert stored == json.loads(json.dumps(headline.headline())), "run `python -m tools.headline`"


@pytest.mark.parametrize(
    "accounting", ["training_free", "training_free_long", "more_passes", "three_passes", "one_pass"]
)
def test_each_accounting_has_plain_ours_and_rivals_that_are_no_form_of_ours(accounting):
    facts = headline.headline()[accounting]
    assert set(facts) == set(headline.SETS)
    for each in facts.values():
        assert not [name for name in each["rivals"] if name.startswith(("rws", "oracle", "plain"))]
        assert each["rivals"]
        assert len(each["plain"]) == len(each["seeds"])
        for way in (*each["rws"].values(), *each["rivals"].values()):
            assert len(way["miou"]) == len(way["seeds"])


def test_what_three_passes_are_compared_with_costs_at_most_four():
    facts = headline.headline()
    for name, each in facts["three_passes"].items():
        assert set(each["rws"]) == {"rws_3"}
        known = facts["training_free"][name]["rivals"]
        assert each["rivals"] == {way: found for way, found in known.items() if found["units"] <= 4}


def test_a_difference_is_that_of_the_scores():
    for sets in headline.headline().values():
        for each in sets.values():
            for way in (*each["rws"].values(), *each["rivals"].values()):
                # A seed may be there twice, from two kinds of machine.
                of_seed = dict(zip(each["seeds"], each["plain"]))
                same = way["seeds"] == each["seeds"]
                paired = each["plain"] if same else [of_seed[seed] for seed in way["seeds"]]
                mean = sum(a - b for a, b in zip(way["miou"], paired, strict=True)) / len(paired)
                assert way["against_plain"]["mean"] == pytest.approx(mean, abs=1e-9)


def test_a_record_without_what_others_have_is_told_of_without_it(tmp_path, monkeypatch):
    facts = headline.headline()["training_free"]["cow"]
    facts["rws"].pop("rws_3")
    assert headline.in_three_passes(facts)["rws"] == {}
    for folder in ("experiments", "Figs"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(headline, "ROOT", tmp_path)
    assert headline.main() == 0
    assert json.loads((tmp_path / "experiments/headline.json").read_text()) == {}
    assert not list((tmp_path / "Figs").iterdir())


@pytest.mark.parametrize(
    ("fewer", "said"),
    [((4,), None), ((1,), "hollow: with one network"), ((3, 1, 4), "hollow: with one to three networks")],
)
def test_the_legend_says_how_many_networks_hollow_points_have(fewer, said):
    ways = {"cow": {"rivals": {str(n): {"seeds": [*range(n)]} for n in fewer}, "rws": {}}}
    assert headline.said_of_hollow({"cow": {"seeds": [0, 1, 2, 3]}}, ways) == said


def test_the_legend_of_the_records():
    drawn = headline.figure(headline.headline())
    assert drawn.legends[0].get_title().get_text() == "hollow: with one to three networks"
