"""Ways to predict films, measured: J and F against those of rws predict, passes, and the whole command."""

import json

import numpy as np
import pytest
from films import davis, demo_frames, tiny_checkpoint
from tiny import load_script

from rws.compare import films
from rws.data.classes import DEMO

pytestmark = pytest.mark.usefixtures("tiny_family")
CLASS = DEMO.names[1]


@pytest.fixture
def asked(tmp_path) -> tuple:
    """A set of two sequences, the second without a mask for its last frame, and a network."""
    pictures = demo_frames(tmp_path, 4)
    rng = np.random.default_rng(0)
    masks = [255 * (rng.random((6, 8)) < 0.4).repeat(8, 0).repeat(8, 1).astype(np.uint8) for _ in pictures]
    root = davis(tmp_path / "DAVIS", pictures, masks)
    davis(root, pictures[::-1], masks[:3], name="cow")
    return root, str(tiny_checkpoint(tmp_path / "runs/a/last.pt"))


def test_sequences_are_measured_in_every_way(asked, tmp_path, capsys):
    root, checkpoint = asked
    out = tmp_path / "record"
    flags = ["--root", str(root), "--of", checkpoint, "dog,cow", CLASS, "--out", str(out)]
    assert films.main(flags) == 0
    record = json.loads((out / "films.json").read_text())
    assert [(m["network"], m["sequence"], m["frames"]) for m in record["measured"]] == [
        ("a", "dog", 4),
        ("a", "cow", 3),
    ]
    ways = record["measured"][0]["ways"]
    assert (ways["plain"]["passes"], ways["flip"]["passes"]) == (1, 2)
    assert all(1 < ways[f"{name}_3"]["passes"] <= 3 for name in ("before", "same"))
    assert all(each["seconds"] > 0 for each in ways.values())
    for key in ("j", "f"):
        means = [m["ways"]["same_2"][key] for m in record["measured"]]
        assert record["mean"]["same_2"][key] == pytest.approx(np.mean(means))
    capsys.readouterr()
    for way, flags in (("plain", []), ("before_2", ["--ways", "rws", "--passes", "2"])):
        seen = [str(root), "--sequence", "dog", "--foreground", CLASS, "--output", str(tmp_path / "o.mp4")]
        assert load_script("predict").main([*seen, "--checkpoint", checkpoint, *flags]) == 0
        row = capsys.readouterr().out.splitlines()[-1].split()
        assert [float(row[2]), float(row[5])] == pytest.approx([ways[way]["j"], ways[way]["f"]], abs=0.051)


def test_an_unknown_class_is_told(asked, tmp_path, capsys):
    root, checkpoint = asked
    out = tmp_path / "record"
    assert films.main(["--root", str(root), "--of", checkpoint, "dog", "yak", "--out", str(out)]) == 2
    assert "yak" in capsys.readouterr().err
    assert not out.exists()
