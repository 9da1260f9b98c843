"""examples/: the page a newcomer reads runs, and every step on it does something."""

import importlib.util
import re

import pytest
import torch
from tiny import REPOSITORY, demo_set

PAGE = REPOSITORY / "examples" / "rws_by_hand.py"
WORDS = ("look", "find", "train on slices", "select", "fuse")


def test_the_page_is_one_page_on_the_core_alone():
    text = PAGE.read_text()
    assert len(text.splitlines()) <= 120
    imported = re.findall(r"^from (rws\S*) import", text, re.MULTILINE)
    assert [name for name in imported if not name.startswith("rws.core")] == ["rws.data"]


@pytest.fixture(scope="module")
def page():
    spec = importlib.util.spec_from_file_location("rws_by_hand", PAGE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> str:
    return str(demo_set(tmp_path_factory.mktemp("data") / "demo", train=40, val=8))


def test_one_cycle_runs_and_prints_the_five_steps_in_their_words(page, root, capsys):
    page.main(root, count=40, steps=60)
    before, *steps = capsys.readouterr().out.splitlines()
    assert "IoU" in before
    assert [re.match(r"(\d)\. ([a-z ]+):", line).groups() for line in steps] == [
        (str(number), word) for number, word in enumerate(WORDS, 1)
    ]
    _, find, _, select, fuse = steps
    assert int(re.search(r"(\d+) weak slices", find)[1]) > 0
    assert sum(map(int, re.search(r"\[(.+)\]", select)[1].split(", "))) > 0, "something is advantaged"
    assert fuse.count("IoU") == 2


def test_the_page_fuses_where_a_slice_is_advantaged_and_nowhere_else(page, root):
    torch.manual_seed(0)
    planes = page.load(root, "train", 16)
    network = page.train(page.new_network(), planes, steps=60)
    for image in planes.split(1):
        seen = page.look(network, image)
        if len(boxes := page.find(seen)):
            break
    rows = page.select(seen, page.look(network, page.enlarge(image, boxes)), boxes)
    assert any(len(cells) for cells, _, _ in rows.values())
    place = image[:, 4:].expand(2, -1, -1, -1)
    blends = page.fuse([rows, {}], place, page.stage_shapes(network, page.STAGES, page.SIZE))
    for name, (cells, n, _) in rows.items():
        own, other = blends[name].n.flatten(1)
        torch.testing.assert_close(own[cells], n)
        assert int((own < 1 - 1e-4).sum()) == len(cells)
        assert (other == 1).all(), "nothing is blended into an image that is not in the bank"
