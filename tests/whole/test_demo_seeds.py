"""The record of the demo over several seeds, and its table, by hand."""

import json
from pathlib import Path

import pytest

from tools.demo_seeds import collected, printed


def finished(folder: Path, seed: int, plain: float, fused: float, again: float) -> Path:
    """What two files of a run hold, as far as the table reads them."""
    folder.mkdir()
    ways = {"plain": (1, plain), "rws_2": (2, plain), "rws_3": (3, again), "rws_4": (4, again)}
    ways["with_1.5"] = 3.25, plain + 1
    measured = {
        "images": ["a", "b"],
        "one_pass": {"plain": plain, "rws": fused},
        "points": [{"way": name, "units": units, "miou": miou} for name, (units, miou) in ways.items()],
    }
    (folder / "looked_again.json").write_text(json.dumps(measured))
    (folder / "summary.json").write_text(json.dumps({"seed": seed}))
    (folder / "env.json").write_text(json.dumps({"commit": f"c{seed}"}))
    return folder


def test_gains_are_paired_by_seed(tmp_path):
    runs = [finished(tmp_path / "a", 0, 40, 38, 42), finished(tmp_path / "b", 1, 44, 43, 45)]
    found = collected(runs)
    assert (found["seeds"], found["commits"], found["images"]) == ([0, 1], ["c0", "c1"], 2)
    rows = {
        row.split("|")[1].strip(): [c.strip() for c in row.split("|")[2:-1]]
        for row in printed(found).split("\n")
    }
    assert rows["plain, one pass"][:2] == ["1.00", "42.00 ± 2.83"]
    assert rows["published fusion, one pass"][3] == "-2.00 -1.00"
    passes, miou, gain, each = rows["plain looked again, 3 passes"]
    assert (passes, miou, each) == ("3.00", "43.50 ± 2.12", "+2.00 +1.00")
    half = 12.706 * 0.5**0.5 / 2**0.5  # Student's t of one degree of freedom
    assert gain == f"+1.50 [{1.5 - half:+.2f}, {1.5 + half:+.2f}]"
    assert half == pytest.approx(6.353)
