"""experiments/headline.json says what the records say."""

import json

from tiny import REPOSITORY

from tools import headline


def test_the_file_is_as_its_command_makes_it():
    stored = json.loads((REPOSITORY / "experiments" / "headline.json").read_text())
    assert stored == json.loads(json.dumps(headline.headline())), "run `python -m tools.headline`"


def test_rivals_are_no_form_of_ours():
    facts = headline.headline()["training_free"]
    assert facts
    for each in facts.values():
        assert not [name for name in each["rivals"] if name.startswith(("rws", "oracle", "plain"))]
        assert {"rws_3"} <= set(each["rws"])
        assert len(each["plain"]) == len(each["seeds"])
