"""Ways to predict with finished networks: units, overlaps by image, intervals, and the whole command."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from tiny import TINY, NoScalars, demo_set, tiny_config

from rws.cli import dump
from rws.compare import ways
from rws.compare.__main__ import main as compare_main
from rws.compare.intervals import bootstrap
from rws.models import FAMILIES
from rws.runs import loggers


def test_miou_of_images_is_that_of_their_summed_overlaps():
    """Two images, three classes; class 2 is nowhere."""
    overlaps = np.array([[[3, 0, 0], [4, 2, 0]], [[1, 5, 0], [4, 6, 0]]])
    assert ways.miou(overlaps) == pytest.approx(100 * (4 / 8 + 5 / 8) / 2)


def test_overlaps_against_a_loop():
    class Classes:
        ignore_index, num_classes = 255, 3

    class Card:
        classes = Classes

    generator = np.random.default_rng(0)
    predicted = generator.integers(0, 3, (7, 9)).astype(np.uint8)
    label = generator.choice([0, 1, 2, 255], (7, 9)).astype(np.uint8)
    both, either = [0, 0, 0], [0, 0, 0]
    for p, t in zip(predicted.flat, label.flat):
        for c in range(3):
            both[c] += p == t == c
            either[c] += t != 255 and c in (p, t)
    assert ways._overlaps(predicted, label, Card) == [both, either]


def test_a_bootstrap_of_images_that_differ_alike_has_no_width_and_of_noise_holds_0():
    generator = np.random.default_rng(1)
    theirs = generator.normal(size=(2, 40))
    found = bootstrap(theirs + 3, theirs, np.mean)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((3, 3, 3))
    noise = bootstrap(theirs + generator.normal(size=(2, 40)), theirs, np.mean)
    assert noise["low"] < 0 < noise["high"]
    assert noise["low"] < noise["mean"] < noise["high"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The flags of an experiment whose arm plain is finished with two seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tiny", TINY)
        patch.setattr(loggers, "SummaryWriter", NoScalars)
        folder = tmp_path_factory.mktemp("ways")
        root = demo_set(folder / "set", train=4, val=4)
        config = tiny_config(root, folder / "runs", limit=0)
        (folder / "base.yaml").write_text(dump(replace(config, name="base")))
        tree = {"name": "tiny_ways", "base": "base.yaml", "seeds": [0, 1], "arms": {"plain": {}}}
        tree["settings"] = {"cycles.budget": "within", "train.eval_every": 2}
        (folder / "e.yaml").write_text(yaml.safe_dump(tree))
        flags = ["--config", str(folder / "e.yaml"), "--out", str(folder / "out")]
        assert compare_main(flags) == 0
        yield flags, folder / "out"


def test_every_way_is_measured_and_plain_differs_from_itself_by_nothing(finished, capsys):
    flags, out = finished
    assert ways.main(flags) == 0
    found = json.loads((out / "ways.json").read_text())
    results = found["results"]
    assert set(results) == set(ways.NAMES)
    assert results["plain"]["against_plain"] == {"mean": 0, "low": 0, "high": 0, "each": [0, 0]}
    report = json.loads((out / "results.json").read_text())
    assert results["plain"]["miou"]["each"] == pytest.approx(report["arms"]["plain"]["miou"]["each"])
    units = {name: each["units"] for name, each in results.items()}
    assert units["plain"] == 1
    assert units["at_1.5"] == 2.25
    assert units["with_2"] == 5
    assert {units[name] for name in ("rws_3", "rws_half_3", "random_3", "oracle_3", "rws_prior_3")} == {3}
    assert units["rws_mean_3"] <= 3
    assert "| rws_3 | 3.00 |" in capsys.readouterr().out


def test_halves_share_no_image_and_are_the_list_together(finished, tmp_path):
    flags, _ = finished
    ids = {}
    for half in ways.HALVES:
        out = tmp_path / half
        assert (
            ways.main([*flags[:2], "--out", str(out), "--half", half, "--ways", "flip", "--seeds", "0"]) == 0
        )
        [run] = json.loads((out / "ways.json").read_text())["runs"]
        assert set(run["overlaps"]) == {"plain", "flip"}
        ids[half] = run["ids"]
    assert sorted(ids["first"] + ids["second"]) == sorted(ids["all"])
    assert not set(ids["first"]) & set(ids["second"])


def test_a_run_that_is_not_finished_is_told(finished, capsys):
    flags, _ = finished
    assert ways.main([*flags, "--seeds", "7"]) == 2
    assert "not finished; run `rws compare` first" in capsys.readouterr().err


def test_random_windows_are_the_same_each_time_and_others_in_another_image():
    class Seen:
        def __init__(self):
            self.windows = []

        def __call__(self, network, card, image, look, among):
            boxes = torch.arange(40).reshape(10, 4)
            self.windows.append(among(boxes).tolist())
            return type("Found", (), {"label": lambda self: None, "passes": look.passes})()

    seen = Seen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ways, "look_again", seen)
        for image_id in ("a", "a", "b"):
            photo = ways.Photo(image_id, None, None)
            ways.by_chance(ways.LookAgain(4, 4), ways.Trained(None, None), photo)
    assert seen.windows[0] == seen.windows[1] != seen.windows[2]
    assert len(seen.windows[0]) == 3
