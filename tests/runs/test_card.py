"""The card of a trained network: every field of a file that lies is one line, and nothing is run for it."""

from collections import OrderedDict
from dataclasses import asdict

import pytest
import torch
from tiny import STAGES, TINY, TinyNetwork

from rws.data.classes import DEMO, UNKNOWN, VOC2012
from rws.errors import UserError
from rws.models import FAMILIES, is_own
from rws.runs import checkpoint
from rws.runs.card import MOST_BASE_SIZE, Card, read_card
from rws.runs.model_file import load_trained, save_trained


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(FAMILIES, "tiny", TINY)


def stored(classes=DEMO) -> dict:
    return asdict(Card("tiny", True, STAGES, classes, 32))


@pytest.mark.parametrize("classes", [DEMO, VOC2012, VOC2012.binary("cat,dog")])
def test_a_sound_card_is_read_as_it_was_written(classes):
    card = Card("tiny", True, STAGES, classes, 32)
    assert read_card(asdict(card)) == card
    in_lists = {**asdict(card), "stages": list(STAGES)}
    assert read_card(in_lists) == card


def test_a_card_from_before_later_fields_were_there():
    old = stored()
    del old["classes"]["file_values"], old["classes"]["void"], old["levels"]
    assert read_card(old) == Card("tiny", True, STAGES, DEMO, 32)


@pytest.mark.parametrize("levels", [None, (0, 65535), [0, 4095.0], (-1.5, 1)])
def test_the_range_of_values(levels):
    assert read_card(with_field(stored(), "levels", levels)).levels == (levels and tuple(levels))


class Text(str):
    """No plain string."""


FIELDS = {
    "network": [None, 7, "", "a b", "x" * 201, "tiny\n", "\x1b[31m", ["tiny"], Text("tiny"), torch.zeros(2)],
    "aux": [None, 1, "yes", torch.ones(1)],
    "stages": ["backbone", None, [1], [""], ["a\n"], [["a"]], {"a": 1}, ["s"] * 1001, ("x" * 201,)],
    "base_size": [None, 0, -1, 10**9, MOST_BASE_SIZE + 1, 2.5, True, "32", torch.tensor(32), float("nan")],
    "levels": [
        0,
        (0,),
        (5, 1),
        (3, 3),
        (0, float("nan")),
        (0, float("inf")),
        ("0", "1"),
        (True, 2),
        (0, 10**400),
    ],
    "classes": [None, [], OrderedDict(asdict(DEMO)), "DEMO"],
    "classes.names": [(), None, "ab", [1] * 6, [""] * 6, ["x" * 201] * 6, ["a"] * 255, ["a"] * 5],
    "classes.palette": [(), None, "ab", [(0, 0, 0)] * 5, [(0, 0)] * 6, [(0, 0, 256)] * 6, [0] * 6],
    "classes.background": [-1, 6, 254, True, "0", 0.0],
    "classes.ignore_index": [None, -1, 256, 5, "255"],
    "classes.file_values": [[], [0] * 6, [1, 2], [0, 1, 2, 3, 4, 300], "012345", [0, 1, 2, 3, 4, None]],
    "classes.void": [[], [256], ["a"], 255, [255] * 300],
}
CASES = [(field, value) for field, values in FIELDS.items() for value in values]


def with_field(card: dict, field: str, value: object) -> dict:
    where = card if "." not in field else card["classes"]
    where[field.rpartition(".")[2]] = value
    return card


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda i: f"{CASES[i][0]}-{i}")
def test_a_wrong_field_is_refused_by_its_name(tmp_path, case):
    field, value = CASES[case]
    with pytest.raises(UserError) as caught:
        read_card(with_field(stored(), field, value))
    said = str(caught.value)
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) < 200


@pytest.mark.parametrize("field", ["network", "aux", "stages", "base_size", "classes", "classes.names"])
def test_a_missing_field_is_named(field):
    card = stored()
    del (card if "." not in field else card["classes"])[field.rpartition(".")[2]]
    with pytest.raises(UserError, match=f"has no field {field.rpartition('.')[2]}$"):
        read_card(card)


@pytest.mark.parametrize("where", ["card", "card.classes"])
@pytest.mark.parametrize("key", ["more", 7, None, ("a",)])
def test_an_unknown_field_is_refused(where, key):
    card = stored()
    (card if where == "card" else card["classes"])[key] = 1
    with pytest.raises(UserError, match=f"{where} has an unknown field"):
        read_card(card)


def test_training_refuses_a_size_that_its_own_file_could_not_be_read_with():
    with pytest.raises(UserError, match=r"base_size 9000: must be 1 to 8192 pixels"):
        Card("tiny", True, STAGES, DEMO, 9000)


@pytest.mark.parametrize("void", [255, UNKNOWN])
def test_numbers_that_count_nowhere_may_be_any(void):
    assert read_card(with_field(stored(), "classes.void", [void])).classes.void == (void,)


# The file around it.


def saved(path, **content):
    network = TinyNetwork(6)
    checkpoint.save(path, {"model": network.state_dict(), "card": stored(), **content})
    return path


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        load_trained(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said


def state(**changed) -> dict:
    return {**TinyNetwork(6).state_dict(), **changed}


KEY = "classifier.1.weight"
WEIGHTS = {
    "none": (None, "holds no weights"),
    "a list": ([1], "holds no weights"),
    "no tensors": (state(**{KEY: 7}), "holds no weights"),
    "another shape": (state(**{KEY: torch.zeros(1)}), f"'{KEY}' is missing or another"),
    "one more": (state(more=torch.zeros(1)), "'more' is missing or another"),
    "one less": ({k: v for k, v in state().items() if k != KEY}, f"'{KEY}' is missing or another"),
    "a key that is no text": ({(1, 2): 3}, "holds no weights"),
    "sparse": (state(**{KEY: torch.zeros(6, 8, 1, 1).to_sparse()}), ""),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_of_another_network_are_one_line(tmp_path, name):
    content, expected = WEIGHTS[name]
    path = tmp_path / "a.pt"
    torch.save({"format": 1, "model": content, "card": stored()}, path)
    assert expected in refusal(path)


def test_a_stage_that_the_network_does_not_have(tmp_path):
    card = with_field(stored(), "stages", ["backbone.9"])
    assert "tiny has no 'backbone.9'" in refusal(saved(tmp_path / "a.pt", card=card))


def chain(depth: int) -> list:
    """A list of 2 to the power of `depth` strings, in a few bytes."""
    value = ["a"]
    for _ in range(depth):
        value = [value, value]
    return value


def endless() -> list:
    value = []
    value.append(value)
    return value


SWOLLEN = {
    "a view": torch.zeros(1).expand(10**12),
    "many views": [torch.zeros(1000).expand(50, 1000) for _ in range(50)],
    "a chain": chain(60),
    "itself": endless(),
    "no data": torch.empty(10**12, device="meta"),
}


@pytest.mark.parametrize("name", SWOLLEN)
def test_what_would_swell_up_is_refused_at_once(tmp_path, name):
    torch.save({"format": 1, "model": SWOLLEN[name], "card": stored()}, tmp_path / "a.pt")
    assert "not a readable checkpoint" in refusal(tmp_path / "a.pt")


@pytest.mark.parametrize("version", [torch.ones(3), [1], "1", True, 1.0, None])
def test_a_format_that_is_no_number(tmp_path, version):
    torch.save({"format": version, "card": stored()}, tmp_path / "a.pt")
    assert "not a checkpoint of this project" in refusal(tmp_path / "a.pt")


def test_shared_weights_are_no_swelling(tmp_path):
    weight = torch.rand(100)
    checkpoint.save(tmp_path / "a.pt", {"model": {str(i): weight for i in range(8)}})
    assert len(checkpoint.load(tmp_path / "a.pt")["model"]) == 8


def test_half_precision_is_read_as_before(tmp_path):
    network = TinyNetwork(6)
    save_trained(tmp_path / "a.pt", network.half(), Card("tiny", True, STAGES, DEMO, 32))
    assert load_trained(tmp_path / "a.pt")[0].classifier[1].weight.dtype == torch.float32


def test_which_names_are_code():
    names = [
        "tiny",
        "smp:Unet:resnet18",
        "timm:resnet18",
        "deeplabv3_resnet50",
        "os:_exit",
        "a.b:c",
        "smp",
        ":",
    ]
    assert [name for name in names if is_own(name)] == ["os:_exit", "a.b:c", ":"]
