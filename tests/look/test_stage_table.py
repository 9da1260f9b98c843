"""`train.py --list-stages`: a table, without data, weights or a run."""

import pytest
from tiny import load_script

train = load_script("train")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder that holds no data and no weights."""
    (tmp_path / "c.yaml").write_text("data: {name: camvid, root: nowhere}\nruns: runs\n")
    monkeypatch.chdir(tmp_path)
    yield
    assert [p.name for p in tmp_path.iterdir()] == ["c.yaml"], "nothing is written"


def listed(capsys, *flags: str) -> list[list[str]]:
    capsys.readouterr()
    assert train.main(["--config", "c.yaml", "--list-stages", *flags]) == 0
    said = capsys.readouterr()
    assert not said.err
    return [line.split() for line in said.out.splitlines()]


def test_stages_that_the_family_names(capsys):
    name, head, *rows, option = listed(capsys, "--model.name", "lraspp_mobilenet_v3_large")
    assert name == ["lraspp_mobilenet_v3_large"]
    assert head == ["stage", "module", "channels", "stride", "dilation"]
    assert [row[1:] for row in rows if row[0] == "*"] == [
        ["backbone.3", "24", "4", "1"],
        ["backbone.6", "40", "8", "1"],
        ["backbone.12", "112", "16", "1"],
        ["backbone.16", "960", "16", "2"],
    ]
    assert ["backbone.11", "112", "16", "1"] in rows
    assert " ".join(option).endswith("'[backbone.3, backbone.6, backbone.12, backbone.16]'")


def test_stages_that_the_user_names(capsys):
    stages = "[backbone.4, backbone.16, classifier.cbr]"
    *_, option = rows = listed(capsys, "--model.name", "lraspp_mobilenet_v3_large", "--model.stages", stages)
    assert " ".join(option).endswith(f"'{stages}'")
    assert [row[1:] for row in rows if row[0] == "*"] == [
        ["backbone.4", "40", "8", "1"],
        ["backbone.16", "960", "16", "2"],
        ["classifier.cbr", "128", "16", "-"],
    ]


def test_a_network_without_stages(capsys):
    pytest.importorskip("segmentation_models_pytorch", reason="pip install .[smp]")
    assert train.main(["--config", "c.yaml", "--list-stages", "--model.name", "smp:Unet:mit_b0"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "sequences of tokens (N, T, C), as a transformer's do" in line
    assert "--model.stages" in line


def test_wrong_stages(capsys):
    flags = ["--config", "c.yaml", "--list-stages", "--model.name", "fcn_resnet50"]
    assert train.main([*flags, "--model.stages", "[backbone.layer1, aux_classifier]"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "does not lead to the logits" in line
