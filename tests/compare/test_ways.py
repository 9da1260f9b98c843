"""Ways to predict with finished networks: units, halves of a list, and the whole command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tiny import TINY, NoScalars, demo_set, tiny_config

from rws.cli import dump
from rws.compare import ways
from rws.compare.__main__ import main as compare_main
from rws.compare.join import main as join_main
from rws.errors import UserError
from rws.models import FAMILIES
from rws.runs import loggers


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
    assert {units[name] for name in ("rws_3", "rws_half_3", "random_3", "oracle_3")} == {3}
    assert units["rws_mean_3"] <= 3
    assert 3 < units["attention_3"] <= 3 + 5  # a backward pass for each class that is predicted
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


def test_one_arm_alone_has_a_record(finished, tmp_path, capsys):
    flags, _ = finished
    tree = yaml.safe_load(Path(flags[1]).read_text()) | {
        "arms": {"plain": {}, "pasted": {"data.copy_paste": 1.0}}
    }
    (tmp_path / "e.yaml").write_text(
        yaml.safe_dump(tree | {"base": str(Path(flags[1]).parent / "base.yaml")})
    )
    command = ["--config", str(tmp_path / "e.yaml"), "--seeds", "0", "--out", str(tmp_path / "out")]
    assert compare_main(command) == 0
    report = json.loads((tmp_path / "out/results.json").read_text())["arms"]
    for arm in ("plain", "pasted"):
        out = tmp_path / arm
        assert ways.main([*command[:-1], str(out), "--ways", "flip", "--arms", arm]) == 0
        found = json.loads((out / "ways.json").read_text())
        assert found["arm"] == arm
        assert found["results"]["plain"]["miou"]["each"] == pytest.approx(report[arm]["miou"]["each"])
        assert f"networks of the arm {arm}, seeds 0" in (out / "ways.md").read_text()
    assert report["plain"]["miou"]["each"] != report["pasted"]["miou"]["each"]
    capsys.readouterr()
    assert ways.main([*command, "--ways", "flip", "--arms", "plain", "pasted"]) == 2
    assert "--arms plain pasted: name one" in capsys.readouterr().err
    assert ways.main([*command[:-1], str(out), "--ways", "flip"]) == 2
    assert "ways.json: is of the arm pasted, not of plain" in capsys.readouterr().err
    plain, pasted = (json.loads((tmp_path / arm / "ways.json").read_text()) for arm in ("plain", "pasted"))
    with pytest.raises(UserError, match="the records are of several arms"):
        ways.joined([plain, pasted])
    assert ways.joined([plain, plain])["results"] == plain["results"]
    with pytest.raises(UserError, match="seed 0 differs in two records"):
        ways.joined([plain, pasted | {"arm": "plain"}])


def test_seeds_that_were_measured_apart_are_joined_as_if_at_once(finished, tmp_path, capsys):
    flags, _ = finished
    some = ["--ways", "flip", "rws_3", "random_3"]
    for out, more in {
        "at_once": ["--seeds", "0", "1", *some],
        "one": ["--seeds", "0", *some, "quarters"],
        "two": ["--seeds", "1", *some],
    }.items():
        command = [*flags[:2], "--out", str(tmp_path / out)]
        assert ways.main([*command, *more]) == 0
        assert compare_main([*command, *more[: more.index("--ways")]]) == 0
    assert join_main([str(tmp_path / "two"), str(tmp_path / "one"), "--out", str(tmp_path / "out")]) == 0
    found, wanted = (json.loads((tmp_path / name / "ways.json").read_text()) for name in ("out", "at_once"))
    assert found["seeds"] == [0, 1]
    assert found["results"] == wanted["results"]
    assert "quarters" not in found["results"], "which one of the two has not measured"
    assert [made["command"] for made in found["environment"]] == [
        json.loads((tmp_path / name / "ways.json").read_text())["environment"]["command"]
        for name in ("two", "one")
    ]
    assert capsys.readouterr().out.count("python -m rws.compare.ways") >= 2
    again = [str(tmp_path / "one"), str(tmp_path / "at_once"), "--out", str(tmp_path / "out")]
    assert join_main(again) == 0, "the same seed, measured alike"
    assert json.loads((tmp_path / "out/ways.json").read_text())["results"] == wanted["results"]
    path = tmp_path / "one/ways.json"
    record = json.loads(path.read_text())
    record["runs"][0]["overlaps"]["plain"][0][0][0] += 1
    path.write_text(json.dumps(record))
    assert join_main(again) == 2
    assert "seed 0 differs in two records" in capsys.readouterr().err


def test_a_way_is_added_to_a_record_and_the_others_stay(finished, tmp_path, capsys):
    flags, _ = finished
    out = ["--out", str(tmp_path)]
    assert ways.main([*flags, *out, "--ways", "flip", "rws_2", "random_2"]) == 0
    once = json.loads((tmp_path / "ways.json").read_text())
    for part in (["rws_2"], ["random_2"]):
        assert ways.main([*flags, *out, "--add", "--ways", *part]) == 0
    found = json.loads((tmp_path / "ways.json").read_text())
    assert found["results"] == once["results"]
    assert len(found["environment"]) == 3
    assert ways.main([*flags, *out, "--add", "--seeds", "0", "--ways", "flip"]) == 2
    assert "ways.json has seeds [0, 1], not [0]; give its --seeds" in capsys.readouterr().err
    assert ways.main([*flags, "--out", str(tmp_path / "none"), "--add", "--ways", "flip"]) == 2
    assert "ways.json does not exist; leave out --add to begin it" in capsys.readouterr().err
    once["runs"][1]["overlaps"]["plain"][0][0][0] += 1
    (tmp_path / "ways.json").write_text(json.dumps(once))
    assert ways.main([*flags, *out, "--add", "--ways", "flip"]) == 2
    assert "the record of seed 1 is of other images or another network" in capsys.readouterr().err
