"""Checksums within text files."""

import json

import pytest

from rws.errors import DamagedFile
from rws.runs import checkpoint
from rws.runs.seals import KEY, opened, opened_text, sealed, sealed_text

CONTENT = {"b": [1, 2.5, None], "a": {"é": (1, 2)}, "": True}


def test_what_was_sealed_is_opened():
    through_a_file = json.loads(json.dumps(sealed(CONTENT)))
    assert list(through_a_file)[-1] == KEY
    assert opened(through_a_file) == json.loads(json.dumps(CONTENT))
    assert opened({"a": 1}) == {"a": 1}, "from before there were checksums"
    assert opened_text(sealed_text("a: 1\nb: 2\n")) == "a: 1\nb: 2\n"
    assert opened_text("a: 1\n") == "a: 1\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c | {"": 1},
        lambda c: c | {"b": [1, 2.5, 0]},
        lambda c: dict(reversed(c.items())),
        lambda c: c | {KEY: "0" * 64},
        lambda c: {"/sha257" if k == KEY else k: v for k, v in c.items()},
        lambda c: {k: v for k, v in c.items() if k != "a"},
    ],
)
def test_what_has_changed_is_refused(change):
    """Order counts: the boxes of slices are taken in it."""
    with pytest.raises(ValueError, match="checksum"):
        opened(change(sealed(CONTENT)))


@pytest.mark.parametrize(("old", "new"), [("a: 1", "a: 3"), ("sha256", "sha254"), ("# ", "! "), ("\n", "*")])
def test_a_text_that_has_changed_is_refused(old, new):
    with pytest.raises(ValueError, match="checksum"):
        opened_text(sealed_text("a: 1\nb: 2\n").replace(old, new, 1))


def test_files(tmp_path):
    checkpoint.write_json(tmp_path / "a.json", CONTENT)
    assert checkpoint.read_json(tmp_path / "a.json") == {"b": [1, 2.5, None], "a": {"é": [1, 2]}, "": True}
    assert checkpoint.has_checksum(tmp_path / "a.json")
    with pytest.raises(DamagedFile, match=r"a\.json: damaged \(it\.b is .*, not int\); --resume goes back"):
        checkpoint.read_json(tmp_path / "a.json", dict[str, int])
    checkpoint.write_result(tmp_path / "b.json", CONTENT)
    assert not checkpoint.has_checksum(tmp_path / "b.json")
    checkpoint.write_sealed(tmp_path / "c.yaml", "a: 1\n")
    assert checkpoint.read_sealed(tmp_path / "c.yaml") == "a: 1\n"
