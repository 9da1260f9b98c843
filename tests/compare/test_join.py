"""Records of one experiment are joined as if they had been run at once."""

import json
from copy import deepcopy

import pytest
import yaml

from rws.compare.intervals import difference
from rws.compare.join import cells_of, join, join_settings, main, unchecked
from rws.compare.results import assembled
from rws.errors import UserError
from rws.runs.checkpoint import read_json

HEAD = {
    "name": "made_up",
    "list": "val",
    "images_in_list": 3,
    "classes": ["background", "cat"],
    "groups": {"small_below": 0.01, "large_above": 0.1, "boundary_pixels": 5},
    "epoch_images": 6,
}
MIOUS = {"plain": (50.0, 52.0, 51.0), "slices": (51.0, 51.5, 53.0), "rws": (49.0, 55.0, 50.0)}
SECONDS = {"whole": 4.0, "slices": 0.0, "score": 1.0, "select": 2.0}


def cell(miou: float) -> dict:
    return {
        "miou": miou,
        "iou": {"background": miou + 10, "cat": miou - 10},
        "groups": {"large": miou + 1, "boundary": miou - 20},
        "fused_share": None,
        "first_training_miou": miou - 5,
        "course": {8: miou - 5, 16: miou},
        "images": 16,
        "environment": {"command": ["compare"]},
    }


def record(arms: list[str], seeds: list[int], seconds: dict = SECONDS) -> dict:
    cells = {arm: {seed: cell(MIOUS[arm][seed]) for seed in seeds} for arm in arms}
    # As it comes back from the disk.
    return json.loads(json.dumps(assembled(HEAD, cells, dict.fromkeys(arms, seconds))))


def joined(*records: dict) -> dict:
    return json.loads(json.dumps(join(list(records))))


def test_a_record_is_made_of_its_cells():
    whole = record(["plain", "rws"], [0, 1])
    assert joined(whole) == whole
    assert cells_of(whole)["rws"][1]["miou"] == 55.0


def test_seeds_and_arms_are_joined():
    whole = record(["plain", "slices", "rws"], [0, 1, 2])
    assert (
        joined(record(["plain", "slices", "rws"], [2]), record(["plain", "slices", "rws"], [0, 1])) == whole
    )
    assert joined(record(["plain", "slices"], [0, 1, 2]), record(["plain", "rws"], [0, 1, 2])) == whole
    assert whole["differences"]["plain"]["rws"]["miou"] == difference(MIOUS["rws"], MIOUS["plain"])


def test_seconds_are_means_over_seeds():
    other = {**SECONDS, "whole": 10.0}
    found = join([record(["plain"], [0, 1]), record(["plain"], [2], other)])
    assert found["seconds"]["plain"] == {**SECONDS, "whole": 6.0}


def test_an_arm_without_a_seed_is_named():
    with pytest.raises(UserError, match="the arm rws lacks seed 1"):
        join([record(["plain"], [0, 1]), record(["plain", "rws"], [0])])


def test_a_run_that_came_out_otherwise_is_named():
    other = deepcopy(record(["plain"], [1]))
    other["arms"]["plain"]["iou"]["cat"][0] += 0.001
    with pytest.raises(UserError, match=r"made_up, plain, seed 1: iou \{"):
        join([record(["plain"], [0, 1]), other])


def test_a_group_that_one_record_lacks_is_no_difference():
    other = deepcopy(record(["plain"], [1, 2]))
    del other["arms"]["plain"]["groups"]["large"]
    assert "large" not in join([record(["plain"], [0, 1]), other])["arms"]["plain"]["groups"]


def test_records_without_a_common_run_are_unchecked():
    assert unchecked([record(["plain"], [0]), record(["plain"], [1])])
    assert not unchecked([record(["plain"], [0]), record(["plain", "rws"], [0])])
    assert not unchecked([record(["plain"], [0])])


def test_another_list_is_refused():
    with pytest.raises(UserError, match="list is test, in the first record val"):
        join([record(["plain"], [0]), record(["plain"], [1]) | {"list": "test"}])


def settings(**arms: dict) -> dict:
    shared = {"train.lr": 0.1, "data.root": "a", "train.slice_aim_by": "class"}
    return {
        "name": "made_up",
        "base": "b.yaml",
        "seeds": [0],
        "report_list": None,
        "settings": shared,
        "arms": arms,
    }


def test_settings_of_joined_arms():
    first = settings(plain={"fusion.enabled": False}, rws={"fusion.enabled": True})
    second = settings(plain={}, aimed={"train.slice_aim": 0.5})
    second["settings"] |= {"fusion.enabled": False, "train.slice_aim": 0.0, "data.root": "elsewhere"}
    del second["settings"]["train.slice_aim"]
    second["arms"]["plain"] = {"train.slice_aim": 0.0}
    found = join_settings([first, second], [0, 1])
    assert found["seeds"] == [0, 1]
    assert found["settings"]["train.lr"] == 0.1
    assert found["settings"]["train.epochs"] == 1, "the default"
    rws = {"data.root": "a", "fusion.enabled": True, "train.slice_aim": 0.0}
    assert found["arms"]["rws"] == rws
    assert found["arms"]["aimed"] == {
        "data.root": "elsewhere",
        "fusion.enabled": False,
        "train.slice_aim": 0.5,
    }


def test_other_settings_are_refused():
    with pytest.raises(UserError, match=r"plain: train.lr is 0\.2, in another record 0\.1"):
        join_settings([settings(plain={}), settings(plain={"train.lr": 0.2})], [0])
    old = settings(plain={})
    del old["settings"]["train.slice_aim_by"]
    with pytest.raises(UserError, match="slice_aim_by is 'image', in another record 'class'"):
        join_settings([settings(plain={}), old], [0])
    elsewhere = settings(plain={"model.weights_dir": "b", "train.checkpoint_minutes": 1.0})
    join_settings([settings(plain={}), elsewhere], [0])


def test_flags_that_were_saved_once_are_left_out():
    old = settings(plain={"check_data": False})
    old["settings"] |= {"resume": False, "overwrite": True, "list_stages": False}
    assert join_settings([old, settings(plain={})], [0]) == join_settings([settings(plain={})], [0])


def test_a_folder_that_is_named_twice_counts_once(tmp_path):
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        found = record(["plain"], [seed])
        found["seconds"]["plain"]["whole"] = 100.0 * (seed + 1)
        (tmp_path / str(seed) / "results.json").write_text(json.dumps(found))
        (tmp_path / str(seed) / "config.yaml").write_text(yaml.safe_dump(settings(plain={})))
    folders = [str(tmp_path / "0"), str(tmp_path / "1"), str(tmp_path / "1/../0")]
    assert main([*folders, "--out", str(tmp_path / "out")]) == 0
    joined = json.loads((tmp_path / "out/results.json").read_text())
    assert joined["seconds"]["plain"]["whole"] == 150.0


def test_command_line(tmp_path, capsys):
    for number, seed in enumerate((0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(record(["plain", "rws"], [seed])))
        (folder / "config.yaml").write_text(yaml.safe_dump(settings(plain={}, rws={"fusion.enabled": True})))
    out = tmp_path / "out"
    command = [str(tmp_path / "0"), str(tmp_path / "1"), "--out", str(out)]
    assert main(command) == 0
    assert read_json(out / "results.json") == record(["plain", "rws"], [0, 1])
    assert (out / "curves.png").is_file()
    assert "seeds 0, 1" in (out / "table.md").read_text()
    assert main([*command, "--arms", "plain"]) == 0
    assert "| rws |" not in (out / "table.md").read_text()
    assert "nothing shows that they are comparable" in capsys.readouterr().out
    assert main([*command, "--arms", "plain", "rwss"]) == 2
    assert "no record has an arm 'rwss'" in capsys.readouterr().err
    (tmp_path / "1/results.json").write_text("{}")
    assert main(command) == 2
    assert "results.json: lacks name; it is not a record" in capsys.readouterr().err
    (tmp_path / "1/results.json").unlink()
    assert main(command) == 2
    assert "results.json: missing; a record has" in capsys.readouterr().err
