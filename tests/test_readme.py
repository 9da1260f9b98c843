"""The README is true: its options table is the configuration's, its files exist, its Python example runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
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


def test_every_file_that_is_linked_or_configured_exists():
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", README) + re.findall(r"configs/\w+\.yaml", README)
    assert linked
    missing = [name for name in linked if not (ROOT / name).exists()]
    assert not missing


def test_example_of_an_own_network_runs(tmp_path, monkeypatch):
    """The example as printed, on a demo set of a few images."""
    from rws.data import demo
    from rws.models import FAMILIES

    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    demo.generate(tmp_path / "data" / "demo", train=6, val=2, progress=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.setitem(FAMILIES, "lraspp", None)  # so that the example's own entry is removed again
    space: dict = {"__name__": "example"}
    exec(compile(blocks[0], "README.md", "exec"), space)
    assert space["summary"]["delta_miou"] == pytest.approx(
        space["summary"]["rws"]["miou"] - space["summary"]["plain"]["miou"]
    )
    assert (tmp_path / "runs" / "lraspp" / "best.pt").is_file()
