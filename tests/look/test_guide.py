"""`python -m rws.look.guide` as a person runs it: what it says and writes, also of wrong input."""

import json
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image
from published import LIGHT, publish
from report_run import CLASSES, folder_set, run
from tiny import STAGES

from rws.data.classes import VOC2012
from rws.look import guide
from rws.look.guidance_plot import panels
from rws.look.names import short
from rws.models import FAMILIES
from rws.runs.record import CycleRecord

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return folder_set(tmp_path_factory.mktemp("set") / "set")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("run"), root)


def refused(capsys, *flags: str) -> str:
    assert guide.main([str(flag) for flag in flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


def test_on_the_training_images_it_says_what_the_run_said(finished, tmp_path, capsys):
    """The data comes from the configuration beside the checkpoint."""
    flags = ["--checkpoint", str(finished / "last.pt"), "--split", "train", "--output", str(tmp_path / "out")]
    assert guide.main(flags) == 0
    found = json.loads((tmp_path / "out/guidance.json").read_text())
    last = json.loads((finished / "state.json").read_text())["cycles"][-1]
    for key in ("attention", "missing_weight", "weak_slices", "windows"):
        assert found[key] == last[key], key
    said = capsys.readouterr().out
    assert all(sentence in said for sentence in found["guidance"])
    assert len(found["guidance"]) == len(STAGES) + 1
    assert "6 training images" in said
    with Image.open(tmp_path / "out/guidance.png") as picture:
        assert min(picture.size) > 300


def test_it_looks_at_so_many_images_and_writes_nothing_unless_told(finished, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert guide.main(["--checkpoint", str(finished / "last.pt")]) == 0
    assert "3 validation images" in capsys.readouterr().out
    monkeypatch.setattr("rws.method.score.RUN", 1)
    assert guide.main(["--checkpoint", str(finished / "last.pt"), "--slices.missing-images", "1"]) == 0
    assert "1 validation images" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_a_network_that_is_not_trained(root, capsys):
    size = ["--data.base-size", "32", "--data.crop-size", "[32, 48]"]
    data = ["--data.name", "folder", "--data.root", str(root), "--data.workers", "0", "--device", "cpu"]
    assert guide.main(["--model.name", "tiny", "--model.weights", "none", *size, *data]) == 0
    said = capsys.readouterr().out
    assert said.startswith("tiny on folder, list val\n")
    assert all(stage in said for stage in STAGES)


def test_a_network_by_its_name(finished, tmp_path, capsys, monkeypatch):
    assert guide.main(["--model", str(finished / "last.pt")]) == 0
    assert f"{finished / 'last.pt'} on folder, list val\n" in capsys.readouterr().out
    publish(LIGHT, tmp_path / f"weights/{LIGHT}_coco.pth", monkeypatch)
    folder_set(tmp_path / "voc", VOC2012.names)
    monkeypatch.chdir(tmp_path)
    size = ["--data.base-size", "32", "--data.crop-size", "[32, 48]"]
    data = ["--data.name", "folder", "--data.root", "voc", "--data.workers", "0", "--device", "cpu"]
    assert guide.main(["--model", LIGHT, "--output", "out", *size, *data]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{LIGHT} on folder, list val\n")
    assert all(stage in said for stage in FAMILIES[LIGHT].stages)
    assert json.loads((tmp_path / "out/guidance.json").read_text())["network"] == LIGHT


def test_wrong_input_is_one_line(finished, root, tmp_path, capsys):
    last = finished / "last.pt"
    assert "give --model NAME, or --model.name NETWORK" in refused(capsys)
    assert "drop --model.name" in refused(capsys, "--checkpoint", last, "--model.name", "tiny")
    assert "give one of them" in refused(capsys, "--checkpoint", last, "--model", "tiny")
    assert "no such checkpoint" in refused(capsys, "--checkpoint", tmp_path / "no.pt", "--data.root", root)
    assert "nearest known one is --data.root" in refused(capsys, "--checkpoint", last, "--data.rot", root)
    gone = refused(capsys, "--checkpoint", last, "--data.root", tmp_path / "gone")
    assert "gone: no such folder" in gone
    (tmp_path / "file").write_text("")
    wrong = refused(capsys, "--checkpoint", last, "--output", tmp_path / "file")
    assert "file: is a file; give a folder" in wrong
    assert "did you mean" in refused(
        capsys, "--model.name", "tinny", "--data.name", "folder", "--data.root", root
    )


def test_away_from_its_run_a_checkpoint_needs_its_data_named(finished, root, tmp_path, capsys):
    copy = tmp_path / "last.pt"
    copy.write_bytes((finished / "last.pt").read_bytes())
    asked = "name the data set with --data.name and --data.root, or give --config"
    assert refused(capsys, "--checkpoint", copy) == f"error: {copy}: has no config.yaml beside it; {asked}"
    assert asked in refused(capsys, "--checkpoint", copy, "--data.root", root)
    assert refused(capsys, "--model.name", "tiny") == f"error: no data is named; {asked}"
    named = ["--data.name", "folder", "--data.root", str(root), "--data.workers", "0", "--device", "cpu"]
    assert guide.main(["--checkpoint", str(copy), *named]) == 0
    assert f"{copy} on folder, list val\n" in capsys.readouterr().out


def test_a_run_away_from_its_data_asks_for_them(finished, root, tmp_path, capsys):
    (tmp_path / "last.pt").write_bytes((finished / "last.pt").read_bytes())
    config = (finished / "config.yaml").read_text().replace(str(root), "data/mine")
    (tmp_path / "config.yaml").write_text(config)
    said = refused(capsys, "--checkpoint", tmp_path / "last.pt")
    assert said == (
        f"error: data/mine: no such folder, but {tmp_path}/config.yaml has the data there; give --data.root"
    )
    assert guide.main(["--checkpoint", str(tmp_path / "last.pt"), "--data.root", str(root)]) == 0


def test_a_set_of_other_classes_is_told(finished, tmp_path, capsys):
    other = folder_set(tmp_path / "other", ("background", "cat", "dog"))
    said = refused(capsys, "--checkpoint", finished / "last.pt", "--data.root", other)
    assert f"its classes are background, {CLASSES[1]}" in said
    assert "those of the data background, cat, dog" in said
    assert "--data.name" in said


def test_images_without_foreground(finished, tmp_path, capsys):
    root = folder_set(tmp_path / "empty")
    for path in (root / "masks").iterdir():
        Image.new("L", (64, 48), 0).save(path)
    flags = ["--checkpoint", str(finished / "last.pt"), "--data.root", str(root)]
    assert guide.main([*flags, "--output", str(tmp_path / "out")]) == 0
    assert "no guidance: no missing weights were looked at" in capsys.readouterr().out
    assert not (tmp_path / "out/guidance.png").exists()


def table(classes: int, cycle: int = 0) -> CycleRecord:
    def group(k: int) -> dict:
        size = ("small", "medium", "large")[k % 3]
        missing = {"layer1": k / classes, "layer2": 0.1}
        return {"class": f"c{k}", "size": size, "pixels": 5000, "images": 9, "missing": missing}

    groups = [group(k) for k in range(classes)]
    return CycleRecord(cycle, attention={"images": 9, "groups": groups})


def test_the_plot_has_the_panels_that_there_is_something_for():
    assert [len(panels(cycles)) for cycles in ([table(1)], [table(4)], [table(1), table(1, 1)])] == [1, 2, 2]
    assert len(panels([table(40), table(40, 1)])) == 3
    with pytest.raises(ValueError, match="no missing weights"):
        panels([CycleRecord(0)])


def test_stages_and_a_colour_bar_are_in_the_plot():
    axes = Figure().subplots()
    panels([table(1)])[0][1](axes)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["layer1", "layer2"]
    (bar,) = (other for other in axes.figure.axes if other is not axes)
    assert bar.get_ylabel() == "missing weight"
    assert bar.get_ylim() == (0, 1)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.b.x", "a.b.y.z"], ["x", "y.z"]),
        (["encoder.blocks.1", "encoder.blocks.2"], ["blocks.1", "blocks.2"]),
        (["features.1", "features.12"], ["features.1", "features.12"]),
        (["backbone.layer4"], ["layer4"]),
        (["layer4", "layer4.conv"], ["layer4", "layer4.conv"]),
        ([], []),
    ],
)
def test_short_names(names, expected):
    assert short(names) == expected
