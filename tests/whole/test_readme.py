"""The README is true: its options table is the configuration's, its files exist, its Python example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_options_table_is_the_configurations():
    table = subprocess.run(
        [sys.executable, "tools/options_table.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert table in README, "paste the output of `python tools/options_table.py` into the README"


def test_benchmark_table_is_that_of_the_record():
    (record,) = re.findall(r"\]\((benchmarks/results/[^)]+\.json)\)", README)
    command = [sys.executable, "tools/benchmark_table.py", record]
    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert table in README, "paste the output of `python tools/benchmark_table.py RECORD` into the README"


def test_evidence_tables_are_those_of_the_records():
    command = [sys.executable, "-m", "tools.evidence_table"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    trained, at_test_time = printed.split("\n\n")
    for text in (README, (ROOT / "docs/findings.md").read_text()):
        assert trained in text.replace("](../experiments", "](experiments")
        assert at_test_time in text.replace("](../experiments", "](experiments")


def test_every_file_that_is_linked_or_configured_exists():
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", README) + re.findall(r"configs/\w+\.yaml", README)
    assert linked
    missing = [name for name in linked if not (ROOT / name).exists()]
    assert not missing


def test_example_of_an_own_training_loop_runs(tmp_path, monkeypatch, capsys):
    """The example as printed, on a demo set of a few images; features are selected, and fused."""
    pytest.importorskip("segmentation_models_pytorch", reason="pip install .[smp]")
    from rws.data.sets import demo

    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    statements = [line for line in blocks[0].splitlines() if line.strip() and "import" not in line]
    assert len(statements) <= 40
    demo.generate(tmp_path / "data" / "demo", train=4, val=2, progress=False)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    space: dict = {"__name__": "example"}
    exec(compile(blocks[0], "README.md", "exec"), space)
    rows = capsys.readouterr().out.splitlines()
    assert [row.partition("; fused")[0].endswith("weak slices") for row in rows] == [True, True]
    assert space["weak"] > 0
    assert list(space["share"]) == [f"encoder.layer{k}" for k in (1, 2, 3, 4)]
    assert any(0 < share < 1 for share in space["share"].values())
    images, _, ids = next(iter(space["plain"]))
    model = space["model"].eval()
    with torch.no_grad():
        alone = model(images)
        with space["rws"].fused(images, ids):
            assert not torch.equal(model(images), alone), "something is fused"
        assert torch.equal(model(images), alone), "and gone again"
