"""What a run says at its end of looking again: measured once, on the same images for all, with its cost."""

import json
import re

import pytest
from report_run import IDS, folder_set, run

from rws.errors import DamagedFile
from rws.evaluate import val
from rws.evaluate.passes import Gain, Point
from rws.report import __main__ as command
from rws.report import again as again_module
from rws.report.again import FILE, Again, closing_lines
from rws.runs.checkpoint import read_json

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return folder_set(tmp_path_factory.mktemp("set") / "set")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    return run(tmp_path_factory.mktemp("run"), root)


def lines(said: str) -> list[list[str]]:
    """The cells of the last lines of a run, from that which says what they are."""
    rows = said.rstrip().split("\n")
    start = next(k for k, row in enumerate(rows) if ": passes of each" in row)
    return [re.split(r"  +", row.strip()) for row in rows[start:]]


def test_a_run_ends_with_its_networks_in_one_pass_and_looking_again(root, tmp_path, capsys):
    folder = run(tmp_path, root)
    said, *rows = lines(capsys.readouterr().out)
    assert said[0].startswith("3 validation images: ")
    names = ["plain, one pass", "published fusion, one pass", "plain, with 1.5 times its size averaged in"]
    assert [row[0] for row in rows] == [*names, "plain looked again (--ways rws)"]
    assert [row[1] for row in rows] == ["1.00", "1.00", "3.25", "3.00"]
    data = {"name": "folder", "root": root}
    plain = val(folder / "cycles/1/plain.pt", data=data, ways=("plain", "with_1.5", "rws"), passes=3)
    fused = val(folder / "last.pt", data=data)
    one_pass, enlarged, again = (scores.miou for scores in plain.networks["plain"].values())
    assert [row[2] for row in rows] == [f"{m:.2f}" for m in (one_pass, fused.miou, enlarged, again)]


def test_what_was_measured_is_not_measured_again(finished, monkeypatch, capsys):
    capsys.readouterr()
    kept = (finished / FILE).read_bytes()

    def fail(*args):
        raise AssertionError("measured again")

    with monkeypatch.context() as patch:
        patch.setattr(again_module, "against_passes", fail)
        assert command.main([str(finished)]) == 0
    assert len(lines(capsys.readouterr().out)) == 5
    assert (finished / FILE).read_bytes() == kept


@pytest.mark.parametrize("change", ["a network", "damaged", "fewer images"])
def test_it_is_measured_again_where_it_is_no_longer_true(finished, change, monkeypatch):
    before, flags = (finished / FILE).read_text(), []
    if change == "a network":
        stored = json.loads(before)
        stored["weights"]["rws"] = "of another network"
        stored.pop("/sha256")
        (finished / FILE).write_text(json.dumps(stored))
    elif change == "damaged":
        (finished / FILE).write_text(before.replace('"listed": 3', '"listed": 4'))
        with pytest.raises(DamagedFile):
            read_json(finished / FILE)
    else:
        flags = ["--look-again-images", "2"]
    assert command.main([str(finished), *flags]) == 0
    if flags:
        assert read_json(finished / FILE)["images"] == [IDS[6], IDS[8]]
        assert command.main([str(finished)]) == 0
    assert (finished / FILE).read_text() == before


def test_nothing_is_measured_where_nobody_asks(root, tmp_path, capsys):
    folder = run(tmp_path, root, look_again_images=0)
    assert not (folder / FILE).exists()
    assert ": passes of each" not in capsys.readouterr().out
    assert (folder / "report.html").is_file()


def test_a_run_without_cycles_has_one_network(root, tmp_path, capsys):
    run(tmp_path, root, cycles={"limit": 0})
    _, *rows = lines(capsys.readouterr().out)
    names = ["network, one pass", "network, with 1.5 times its size averaged in"]
    assert [row[0] for row in rows] == [*names, "network looked again (--ways rws)"]


def test_the_lines_by_hand():
    points = [
        Point("plain", 1.0, 45.206, None),
        Point("rws_3", 3.0, 46.892, Gain(1.686, 0.6, 2.94)),
        Point("with_1.5", 3.25, 49.07, Gain(3.864, -2.18, 5.556)),
    ]
    kept = {"images": ["a", "b"], "listed": 7, "looked": "plain", "points": points}
    kept["one_pass"] = {"plain": 45.206, "rws": 42.161}
    again = Again(kept, {"plain": "plain", "rws": "published fusion"})
    assert closing_lines(again) == [
        "2 validation images of 7, evenly spread: passes of each, mIoU, gain over one pass (95 %)",
        "  plain, one pass                             1.00   45.21",
        "  published fusion, one pass                  1.00   42.16",
        "  plain, with 1.5 times its size averaged in  3.25   49.07  +3.86 [-2.18, +5.56]",
        "  plain looked again (--ways rws)             3.00   46.89  +1.69 [+0.60, +2.94]",
    ]
    assert [point.way for point in again.curve] == ["plain", "rws_3"]
