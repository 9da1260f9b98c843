"""What a run says at its end of looking again: measured once, on the same images for all, with its cost."""

import html
import json
import re

import numpy as np
import pytest
import yaml
from report_run import IDS, folder_set, run

from rws.data import open_split
from rws.errors import DamagedFile
from rws.evaluate import val
from rws.evaluate.passes import Gain, Point, first_windows
from rws.method.look_again import look_again
from rws.predict.ways import LookAgain
from rws.report import __main__ as command
from rws.report import again as again_module
from rws.report.again import FILE, Again, closing_lines
from rws.report.mended import MENDED, SAME, SPOILT, Mended, changes
from rws.runs.checkpoint import read_json
from rws.runs.model_file import load_trained

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


def test_what_was_seen_again_is_named():
    windows = ((0, 0, 5, 5), (3, 4, 5, 5))
    assert Mended((), windows, 1300, 20).sentence == "2 windows mended 1,300 pixels and spoilt 20."
    whole = Mended((), ((0, 0, 8, 9),), 1300, 20, larger=True)
    assert whole.sentence == "A larger view mended 1,300 pixels and spoilt 20."


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
    summary = json.loads((folder / "summary.json").read_text())
    plain, rws = summary["plain"]["miou"], summary["rws"]["miou"]
    *before, last = capsys.readouterr().out.rstrip().split("\n")
    assert last == f"mIoU {rws:.2f}, of plain training {plain:.2f}, difference {rws - plain:+.2f}"
    assert not [line for line in before if ": passes of each" in line]
    assert (folder / "report.html").is_file()


def test_without_the_data_what_was_measured_stays(finished, tmp_path, capsys):
    said = (finished / "report.html").read_text()
    assert command.main([str(finished), "--data.root", str(tmp_path / "elsewhere")]) == 0
    assert len(lines(capsys.readouterr().out)) == 5
    without = (finished / "report.html").read_text()
    assert "<img" not in without
    assert without.count("looked again") > 2
    assert command.main([str(finished)]) == 0
    assert (finished / "report.html").read_text() == said


def test_a_run_without_cycles_has_one_network(root, tmp_path, capsys):
    run(tmp_path, root, cycles={"limit": 0})
    said = capsys.readouterr().out
    assert not [line for line in said.split("\n") if line.startswith("mIoU")]
    _, *rows = lines(said)
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


# On the page.


def page_of(folder) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def read_folder(folder) -> str:
    """Where the data of a run are."""
    return yaml.safe_load((folder / "config.yaml").read_text())["data"]["root"]


def signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def test_the_page_has_what_was_measured(finished):
    text, kept = page_of(finished), read_json(finished / FILE)
    tiles = re.findall(r'<div class="tile[ a-z]*"><span>(.*?)</span><b>(.*?)</b><small>(.*?)</small>', text)
    one, two, three, four, rival = kept["points"]
    gains = [
        f"{p['units']:.2f} forward passes; {signed(g['mean'])} [{signed(g['low'])}, {signed(g['high'])}]"
        for p in (two, three, rival)
        for g in [p["gain"]]
    ]
    assert tiles[:4] == [
        ("plain, one pass", f"{one['miou']:.2f}", "1 forward pass an image"),
        ("plain, looked again", f"{two['miou']:.2f}", gains[0]),
        ("plain, looked again", f"{three['miou']:.2f}", gains[1]),
        ("with 1.5 times its size averaged in", f"{rival['miou']:.2f}", gains[2]),
    ]
    section = text[text.index('<section id="again"') : text.index('<section id="images"')]
    rows = re.findall(r"</th><td>([\d.]+)</td><td>([\d.]+)</td>", section)
    assert rows == [(f"{p['units']:.2f}", f"{p['miou']:.2f}") for p in (one, two, three, four, rival)]
    assert "on 3 validation images." in section


def test_the_page_says_where_a_part_of_the_list_was_measured(finished):
    before = page_of(finished), (finished / FILE).read_text()
    assert command.main([str(finished), "--look-again-images", "2"]) == 0
    assert "on 2 of 3 validation images, evenly spread over the list." in page_of(finished)
    assert command.main([str(finished), "--look-again-images", "0"]) == 0
    assert "ooked again" not in page_of(finished)
    assert command.main([str(finished)]) == 0
    assert (page_of(finished), (finished / FILE).read_text()) == before


def test_every_image_shows_its_windows_in_their_order_and_what_they_changed(finished):
    samples = re.findall(r'<article class="sample".*?</article>', page_of(finished), re.DOTALL)
    assert len(samples) == 9
    network, card = load_trained(finished / "cycles/1/plain.pt")
    for sample in samples:
        image_id = html.unescape(re.search(r"<h3[^>]*>(.*?) <small>", sample)[1])
        split = "val" if image_id in IDS[6:] else "train"
        opened = open_split("folder", read_folder(finished), split)
        seen = look_again(network, card, opened.image(image_id), LookAgain(3, 3))
        drawn = re.findall(r'class="line" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"', sample)
        expected = [(str(x), str(y), str(w), str(h)) for y, x, h, w in seen.boxes_yxhw.tolist()]
        assert drawn == 4 * expected
        assert re.findall(r"<text [^>]*>(\d)</text>", sample) == 4 * ["1", "2"]
        label, after = opened.label(image_id), seen.label()
        before = first_windows(seen, 0).label()
        known, was, is_now = label != 255, before == label, after == label
        right, wrong = known & is_now & ~was, known & was & ~is_now
        assert f"2 windows mended {right.sum():,} pixels and spoilt {wrong.sum():,}." in sample


def test_what_changed_by_hand():
    label = np.array([[1, 1, 1, 1, 255]], np.uint8)
    before, after = np.array([[1, 0, 1, 0, 0]], np.uint8), np.array([[1, 1, 0, 2, 1]], np.uint8)
    assert changes(label, before, after, 255).tolist() == [[SAME, MENDED, SPOILT, SAME, SAME]]
