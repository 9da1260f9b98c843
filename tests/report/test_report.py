"""The report: what it holds, whatever the run was; that it needs nothing else; that no run fails for it."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from report_run import CLASSES, IDS, folder_set, run
from tiny import STAGES, TINY, TinyNetwork

from rws.models import FAMILIES, sc_cam
from rws.models.sc_cam import SubCategoryNetwork
from rws.report import __main__ as command
from rws.report import write
from rws.report.encode import LEVELS, heat, indexed, photo
from rws.report.facts import Facts, arms, courses, epochs, read_facts, settings
from rws.report.page import duration, number, page, signed
from rws.report.pictures import Pictures, choose, difference
from rws.runs.checkpoint import read_json
from rws.runs.record import CycleRecord

pytestmark = pytest.mark.usefixtures("tiny_runs")


def sub_category_network(num_classes: int, aux: bool = True) -> SubCategoryNetwork:
    return SubCategoryNetwork(TinyNetwork(num_classes).backbone, 8, num_classes)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return folder_set(tmp_path_factory.mktemp("set") / "R&D <set>")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("run"), root)


class Page(HTMLParser):
    """Elements with their attributes, and the text outside style and script."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text, self.raw, self._inside = "", path.read_text(encoding="utf-8"), ""
        self.feed(self.raw)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside not in ("style", "script"):
            self.text += f"{data.strip()} "

    def of(self, tag: str, **attributes: str) -> list[dict]:
        wanted = attributes.items()
        return [a for t, a in self.elements if t == tag and all(a.get(k) == v for k, v in wanted)]

    def classes(self, name: str) -> list[dict]:
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]


def read(folder: Path) -> Page:
    return Page(folder / "report.html")


# A usual run.


def test_nothing_is_loaded_from_elsewhere(finished):
    found = read(finished)
    for tag, attributes in found.elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster"):
            value = attributes.get(name) or "#"
            assert value.startswith(("data:", "#")), (tag, name, value[:80])
    addresses = re.findall(r"url\(\s*['\"]?(.{5})", found.raw)
    assert addresses
    assert all(address in ("data:", "#") or address.startswith("#") for address in addresses)
    assert "@import" not in found.raw
    assert not found.of("link", rel="stylesheet")
    assert len(found.raw) < 8e6


def test_names_are_text(finished):
    found = read(finished)
    assert len(found.of("script")) == 1
    assert found.raw.count("alert(1)") == found.raw.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 0
    assert CLASSES[1] in found.text
    assert CLASSES[2] in found.text
    assert "im <b>0" in found.text
    assert "R&D <set>" in found.text


def test_the_numbers_are_those_of_the_summary(finished):
    found, summary = read(finished), json.loads((finished / "summary.json").read_text())
    for arm in ("plain", "rws"):
        assert f"{summary[arm]['miou']:.2f}" in found.text
        assert all(f"{iou:.2f}" in found.text for iou in summary[arm]["iou"].values())
    assert signed(summary["delta_miou"]) in found.text
    assert summary["stopped"] in found.text
    for cycle in summary["cycles"]:
        assert f"{cycle['weak_slices']:,}" in found.text
        assert all(f"{miou:.2f}" in found.text for miou in cycle["miou"])
    assert all(sentence in found.text for sentence in summary["guidance"])
    assert "train.batch_size" in found.text
    assert torch.__version__ in found.text


def test_every_image_has_every_layer(finished):
    found = read(finished)
    images = found.classes("sample")
    assert len(images) == 6 + 3, "half of a dozen training images, and all three for validation"
    assert all(len(found.classes(f"kind-{kind}")) >= 9 for kind in ("photo", "label", "difference"))
    panels = {kind: [a for a in found.classes("panel") if f"kind-{kind}" in a["class"]] for kind in KINDS}
    each = {"photo": 1, "label": 1, "prediction": 2, "difference": 1, "again": 4}
    each |= {"attention": 2 * len(STAGES), "missing": 2 * len(STAGES)}
    assert {kind: len(there) for kind, there in panels.items()} == {k: 9 * n for k, n in each.items()}
    assert all(a.get("alt") is not None for a in found.of("img"))
    ids = [a["id"] for _, a in found.elements if "id" in a]
    own = [i for i in ids if re.match("show|stage-|arm-|boxes-|sample|name|h-|large|find|strength", i)]
    assert len(own) == len(set(own))


KINDS = ("photo", "label", "prediction", "difference", "again", "attention", "missing")


def test_slices_of_the_last_cycle_are_drawn(finished):
    boxes = read_json(finished / "cycles/1/slices.json")
    shown = [image_id for image_id in IDS[:6] if boxes[image_id]]
    assert shown, "these tests would show nothing without slices"
    found = read(finished)
    panels = 1 + 1 + 2 + 1 + 4 * len(STAGES)
    rows = [(a["x"], a["y"], a["width"], a["height"]) for a in found.of("rect", **{"class": "under"})]
    assert len(rows) == panels * sum(len(each) for each in boxes.values())
    expected = {tuple(str(v) for v in (x, y, w, h)) for each in boxes.values() for y, x, h, w in each}
    assert set(rows) == expected


def test_it_can_be_written_again(finished, root, capsys):
    before = (finished / "report.html").read_text()
    (finished / "report.html").unlink()
    assert command.main([str(finished)]) == 0
    assert (finished / "report.html").read_text() == before
    assert re.search(r"report: .*report.html \(\d+\.\d MB, \d+ s\)", capsys.readouterr().out)


def test_without_its_data_it_has_numbers_and_no_pictures(finished, tmp_path, capsys):
    before = (finished / "report.html").read_text()
    try:
        assert command.main([str(finished), "--data.root", str(tmp_path / "gone")]) == 0
        found = read(finished)
    finally:
        (finished / "report.html").write_text(before)
    assert "warning: the report has no pictures: " in capsys.readouterr().out
    assert "No pictures: " in found.text
    assert "gone: no such folder" in found.text
    assert not found.classes("sample")
    assert "mIoU over epochs" in found.text


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["{}/nothing"], "nothing/config.yaml: not there; give the folder of a finished run, runs/<name>"),
        (["{}", "--data.rot", "x"], "--data.rot: unknown; the nearest known one is --data.root"),
    ],
)
def test_wrong_calls_are_one_line(finished, capsys, flags, line):
    assert command.main([flag.format(finished) for flag in flags]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith("error: ")
    assert line in said[0]


def test_a_run_that_is_not_finished_has_no_report(finished, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text((finished / "config.yaml").read_text())
    assert command.main([str(tmp_path)]) == 2
    assert "summary.json: not there" in capsys.readouterr().err


def test_flags_that_an_old_run_saved_are_no_options(finished, tmp_path):
    for name in ("state.json", "summary.json"):
        (tmp_path / name).write_text((finished / name).read_text())
    _, text = (finished / "config.yaml").read_text().split("\n", 1)  # an old one has no checksum
    (tmp_path / "config.yaml").write_text(f"{text}resume: false\noverwrite: true\n")
    assert settings(read_facts(tmp_path)) == settings(read_facts(finished))


# Other runs.


def test_an_environment_without_its_device_is_shown_as_it_is(finished):
    facts = replace(read_facts(finished), environment={"python": "3.11", "cores": None})
    assert "3.11" in page(facts, Pictures())


def test_without_fusion(root, tmp_path):
    found = read(run(tmp_path, root, fusion={"enabled": False}))
    assert not found.of("section", id="weak")
    assert "without fusion no image is scored" in found.text
    assert "rws guide --checkpoint" in found.text
    assert len(found.classes("sample")) == 9
    assert not found.classes("boxes")


def test_without_a_plain_arm(root, tmp_path):
    folder = run(tmp_path, root, cycles={"plain": False})
    found = read(folder)
    assert "No plain network was trained beside" in found.text
    assert "Prediction, before RWS" in found.text, "after one cycle the first network is still there"
    folder = run(tmp_path / "longer", root, cycles={"plain": False, "limit": 2})
    found = read(folder)
    assert "Prediction, published fusion" in found.text
    assert not found.classes("kind-difference"), "nothing is left to compare with"
    assert not found.of("input", id="arm-both")


def test_stopped_at_cycle_0_on_a_scene_without_background(tmp_path):
    scene = folder_set(tmp_path / "scene", ("sky", "road", "car"))
    found = read(run(tmp_path, scene, cycles={"limit": 0}))
    assert all(name in found.text for name in ("sky", "road", "car", "not labelled"))
    assert "Prediction, network" in found.text
    assert not found.classes("kind-difference")
    assert "cycle limit 0" in found.text
    assert "published fusion" not in found.raw.partition('id="settings"')[0], "nothing was fused"
    assert "<span>difference</span>" not in found.raw
    assert found.of("section", id="weak")


def test_a_resumed_run(finished, root, tmp_path):
    folder = run(tmp_path, root)
    (folder / "report.html").unlink()
    assert run(tmp_path, root, "--resume") == folder
    names = [[a["aria-label"] for a in read(f).classes("thumb")] for f in (finished, folder)]
    assert names[0] == names[1]


def test_sc_cam(root, tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "tiny_sc_cam", replace(TINY, build=sub_category_network))
    monkeypatch.setitem(sc_cam.FAMILIES, "tiny_sc_cam", FAMILIES["tiny_sc_cam"])
    sections = {"model": {"name": "tiny_sc_cam"}, "sc_cam": {"rounds": 1, "scales": [1.0]}}
    folder = run(tmp_path, root, **sections)
    found, summary = read(folder), json.loads((folder / "summary.json").read_text())
    for record in summary["rounds"]:
        assert all(f"{record[part]['miou']:.2f}" in found.text for part in ("train", "val"))
    assert f"{summary['last']['miou']:.2f}" in found.text
    panels = [a for a in found.classes("panel") if "kind-labelmap" in a["class"]]
    assert len(panels) == 6, "those of the training images"
    assert len(found.classes("sample")) == 9


def test_many_classes_can_be_searched(finished):
    facts = read_facts(finished)
    iou = {f"class {k}": None if k % 7 == 0 else k / 2 for k in range(171)}
    gone = dict.fromkeys(iou)
    summary = facts.summary | {"plain": facts.summary["plain"] | {"iou": iou | {"class 5": 90.0}}}
    text = page(replace(facts, summary=summary | {"rws": summary["rws"] | {"iou": iou}}), Pictures(), "")
    assert 'id="find-class"' in text
    assert text.count('<th scope="row">class ') == 171
    assert "−87.50" in text
    assert ">nan<" not in text.lower()
    page(replace(facts, summary=summary | {"rws": summary["rws"] | {"iou": gone}}), Pictures(), "")


# No run fails for its report.


def test_a_failure_is_one_line_and_the_run_is_whole(root, tmp_path, monkeypatch, capsys):
    def broken(*args):
        raise ValueError("the\nink is empty")

    monkeypatch.setattr(write, "page", broken)
    folder = run(tmp_path, root, cycles={"limit": 0})
    (line,) = (row for row in capsys.readouterr().out.splitlines() if row.startswith("warning"))
    assert "no report (ValueError: the ink is empty)" in line
    assert f"rws report {folder}" in line
    assert (folder / "summary.json").is_file()
    assert not (folder / "report.html").exists()


# Its parts.


def facts_of(*cycles: CycleRecord, **config: object) -> Facts:
    defaults = {"train.batch_size": 2, "fusion.enabled": True, **config}
    arm = {"miou": 1.0, "iou": {}, "images": 3, "best": {"miou": 1.0, "cycle": 0, "epoch": 1}}
    return Facts(Path("runs/x"), {"plain": arm, "rws": arm}, defaults, {}, cycles, [])


def history(*scores: float | None) -> list[dict]:
    records = [{"epoch": k, "step": 10 * k} for k in range(1, len(scores) + 1)]
    return [r | ({} if s is None else {"miou": s}) for r, s in zip(records, scores)]


def by_hand() -> Facts:
    """20 images an epoch; the slices between take 40; the second epoch is not evaluated."""
    whole, plain = history(50.0, None, 60.0), history(51.0, 52.0, 53.0, 54.0, 65.0)
    seconds = [{"whole": 10.0, "slices": 5.0, "score": 1.0, "select": 2.0}, {"whole": 20.0, "plain": 30.0}]
    first = CycleRecord(
        0, seconds[0], whole=whole, whole_images=60, plain=whole, plain_images=60, slice_images=40
    )
    again = history(40.0, None, 70.0)
    return facts_of(
        first, CycleRecord(1, seconds[1], whole=again, whole_images=60, plain=plain, plain_images=100)
    )


def test_courses_run_over_the_images_that_an_arm_has_seen():
    rws, plain = courses(by_hand())
    assert [(p["cycle"], p["epoch"], p["images"], p["miou"]) for p in rws] == [
        (0, 1, 20, 50.0),
        (0, 3, 60, 60.0),
        (1, 1, 120, 40.0),  # 60 and the slices' 40 before
        (1, 3, 160, 70.0),
    ]
    assert [p["images"] for p in plain] == [20, 60, 80, 100, 120, 140, 160]


def test_an_epoch_is_compared_with_plain_after_as_many_images():
    rows = epochs(by_hand())
    assert [row["gain"] for row in rows] == [0.0, 0.0, 40.0 - 53.0, 70.0 - 65.0]
    first, second = by_hand().cycles
    alone = facts_of(first, replace(second, plain=None))
    assert [row["gain"] for row in epochs(alone)] == [None] * 4


def test_the_time_of_an_arm():
    plain, rws = arms(by_hand())
    assert (plain["seconds"], rws["seconds"]) == (10.0 + 30.0, 10.0 + 5.0 + 1.0 + 2.0 + 20.0)


def test_who_is_right_by_hand():
    label = np.array([[1, 1, 1, 1, 255]], np.uint8)
    plain, rws = np.array([[1, 0, 1, 0, 1]], np.uint8), np.array([[1, 1, 0, 2, 1]], np.uint8)
    assert difference(label, plain, rws, 255).tolist() == [[0, 1, 2, 3, 4]]


class Listed:
    def __init__(self, split: str, ids: list[str]):
        self.split, self.ids = split, ids


def test_images_are_spread_and_those_with_slices_come_first():
    train, val = (Listed(name, [f"{name}{k}" for k in range(20)]) for name in ("train", "val"))
    boxes = {f"train{k}": [(0, 0, 1, 1)] for k in range(10, 20)}
    chosen = [image_id for _, image_id in choose(train, val, boxes, 12)]
    assert chosen[0] == "train10"
    assert chosen[5] == "train19"
    assert chosen[6] == "val0"
    assert chosen[-1] == "val19"
    assert len(set(chosen)) == 12
    assert choose(train, val, {"train3": [(0, 0, 1, 1)]}, 12)[0][1] == "train0", "one alone is too few"
    few = Listed("train", ["a"])
    assert len(choose(few, val, {}, 12)) == 12


def decoded(uri: str) -> Image.Image:
    assert uri.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_pictures_survive_their_encoding():
    label = np.array([[0, 1], [2, 255]], np.uint8)
    palette = [0, 0, 0, 10, 20, 30, 40, 50, 60, *[7] * 759]
    found = np.asarray(decoded(indexed(label, palette, [0], 100)).convert("RGBA"))
    assert found[0, 0, 3] == 0
    assert found[0, 1].tolist() == [10, 20, 30, 255]
    assert found[1, 0].tolist() == [40, 50, 60, 255]
    ramp = np.tile(np.linspace(0, 1, LEVELS), (4, 1))
    where = np.ones(ramp.shape, bool)
    where[0] = False
    shown = np.asarray(decoded(heat(ramp, where, "viridis", 100)).convert("RGBA"))
    assert (shown[0, :, 3] == 0).all()
    assert (shown[1:, :, 3] == 255).all()
    assert shown[1, 0, :3].tolist() == [68, 1, 84]  # viridis at 0 and at 1
    assert shown[1, -1, :3].tolist() == [253, 231, 37]
    assert decoded(photo(Image.new("RGB", (400, 200)), 100)).size == (100, 50)


def test_numbers_as_text():
    assert [number(None), number(1234.567), number(5.0, 0)] == ["–", "1,234.57", "5"]
    assert [signed(None), signed(-1.5), signed(0.0)] == ["–", "−1.50", "+0.00"]
    assert [duration(s) for s in (3.2, 119, 121, 7300)] == ["3 s", "119 s", "2 min", "2 h 02 min"]


@pytest.mark.parametrize(
    ("options", "delta"),
    [
        ({"cycles.start": "initial", "cycles.anneal": None}, 20),
        ({"cycles.start": "last", "cycles.anneal": None}, 0),
        ({"cycles.start": "last", "cycles.anneal": "each"}, 20),
        ({"cycles.start": "last"}, 20),  # of a run from before there was the option
    ],
)
def test_a_run_whose_rate_fell_once_was_not_stopped_by_delta(finished, options, delta):
    facts = read_facts(finished)
    rest = {key: value for key, value in facts.config.items() if key != "cycles.anneal"}
    config = rest | {"cycles.limit": 2, "cycles.delta": 20} | options
    assert replace(facts, config=config).delta == delta
