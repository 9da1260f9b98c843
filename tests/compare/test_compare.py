"""The comparison of arms: what is shared, equal budgets, resuming, the numbers that are reported."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny import demo_set, same_tensors, tiny_config

from rws.cli import dump
from rws.compare import arms, schedule
from rws.compare.__main__ import compare, main
from rws.compare.intervals import difference, spread
from rws.compare.plan import make_plan, read_experiment
from rws.cycle import steps
from rws.cycle.artifacts import Artifacts
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data.object_sizes import object_area
from rws.errors import UserError
from rws.evaluate.scores import labelled_miou
from rws.method.bank import Bank
from rws.runs import checkpoint
from rws.training.training import Training

pytestmark = pytest.mark.usefixtures("tiny_runs")

ARMS = {
    "plain": {},
    "slices": {"fusion.enabled": False, "train.slice_mix": 0.5},
    "random": {"fusion.positions": "random"},
    "rws": {},
    "rws_mixed": {"fusion.mode": "gentle", "train.slice_mix": 0.5},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return demo_set(tmp_path_factory.mktemp("demo") / "set", train=6, val=3)


def write_experiment(folder: Path, root: Path, **changes) -> Path:
    """A tiny experiment of two seeds in `folder`, with its runs below it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(root, folder / "runs", start="last", limit=1)
    (folder / "base.yaml").write_text(dump(config))
    settings = {"train.epochs": 3, "train.first_epochs": 2, "cycles.budget": "within"}
    settings |= {"train.slice_epochs": 0.5, "train.eval_every": 1}
    tree = {
        "name": "tiny",
        "base": "base.yaml",
        "settings": settings,
        "seeds": [0, 1],
        "arms": ARMS,
        **changes,
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tree))
    return folder / "tiny.yaml"


def run(path: Path, **options) -> dict:
    return compare(make_plan(read_experiment(path), [], **options), path.parent / "out")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> tuple[Path, dict]:
    path = write_experiment(tmp_path_factory.mktemp("finished"), root)
    return path, run(path)


def folder(path: Path, arm: str, seed: int = 0) -> Path:
    return path.parent / "runs/tiny" / str(seed) / arm


def numbers(found: dict) -> dict:
    """Results without what differs from run to run."""
    return {key: value for key, value in found.items() if key not in ("seconds", "environment")}


# A whole comparison.


def test_it_writes_its_four_files_and_every_arm_is_in_the_table(finished):
    path, found = finished
    out = path.parent / "out"
    assert {p.name for p in out.iterdir()} == {"config.yaml", "results.json", "table.md", "curves.png"}
    assert checkpoint.read_json(out / "results.json") == json.loads(json.dumps(found))
    table = (out / "table.md").read_text()
    for arm in ARMS:
        assert f"| {arm} |" in table
    assert all(f"| {name} |" in table for name in ("background", "kite", "fish", "lamp", "spider", "flower"))
    settings = yaml.safe_load((out / "config.yaml").read_text())
    assert settings["settings"]["cycles.budget"] == "within"
    assert settings["arms"]["random"]["fusion.positions"] == "random"


def test_all_arms_see_as_many_images(finished):
    """6 images, batches of 2: cycle 0 has 2 epochs and cycle 1 exactly 3, slices included."""
    _, found = finished
    assert found["budget"] == {str(seed): dict.fromkeys(ARMS, 6 * (2 + 3)) for seed in (0, 1)}
    assert found["equal_budget"]


def test_the_slices_are_part_of_the_budget(finished):
    state = checkpoint.read_json(folder(finished[0], "rws") / "state.json")
    first, second = state["cycles"]
    assert first["slice_images"] > 0
    assert first["slice_images"] + second["whole_images"] == 3 * 6
    assert (
        "slice_images" not in checkpoint.read_json(folder(finished[0], "slices") / "state.json")["cycles"][0]
    )


def test_arms_are_paired(finished):
    """The same first training and slices for all arms of a seed, and other ones for the other seed."""
    path, found = finished
    firsts = [each["first_training_miou"] for each in found["arms"].values()]
    assert all(each == firsts[0] for each in firsts)
    for seed in (0, 1):
        whole = [checkpoint.load(folder(path, arm, seed) / "cycles/0/whole.pt")["model"] for arm in ARMS]
        assert all(same_tensors(whole[0], other) for other in whole)
        boxes = [(folder(path, a, seed) / "cycles/0/slices.json").read_text() for a in ARMS if a != "plain"]
        assert len(set(boxes)) == 1
    whole = [checkpoint.load(folder(path, "rws", seed) / "cycles/0/whole.pt")["model"] for seed in (0, 1)]
    assert not same_tensors(*whole)


def test_the_arms_end_apart(finished):
    path, _ = finished
    ends = [checkpoint.load(folder(path, arm) / "last.pt")["model"] for arm in ARMS]
    assert not any(same_tensors(a, b) for i, a in enumerate(ends) for b in ends[:i])


def test_what_is_shared_is_what_the_arm_would_have_done_by_itself(finished, root, tmp_path):
    path = write_experiment(tmp_path, root)
    alone = run(path, seeds=[0], arms=["rws"])
    assert alone["arms"]["rws"]["miou"]["each"][0] == finished[1]["arms"]["rws"]["miou"]["each"][0]
    one, other = (checkpoint.load(folder(p, "rws") / "last.pt") for p in (path, finished[0]))
    assert same_tensors(one["model"], other["model"])


def test_evaluations_fall_on_the_same_numbers_of_images(finished):
    course = finished[1]["course"]
    assert [point["images"] for point in course] == [6, 12, 24, 30], "at 18 the slices are trained"
    for point in course[:2]:
        assert all(point[arm] == point["plain"] for arm in ARMS)


def test_the_last_evaluation_on_val_is_the_report_on_val(finished):
    _, found = finished
    for arm, each in found["arms"].items():
        assert found["course"][-1][arm] == pytest.approx(each["miou"]["each"], abs=1e-9)


def test_no_bank_is_left(finished):
    assert not list((finished[0].parent / "runs").rglob("bank"))


# Stopped and gone on.


@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [(Training, "_one_step", 30), (arms, "measure", 1), (steps, "score_images", 0), (arms.os, "replace", 40)],
)
def test_interrupted_and_gone_on_gives_the_same_numbers(
    finished, root, tmp_path, monkeypatch, owner, name, call
):
    path = write_experiment(tmp_path, root)
    real, count = getattr(owner, name), [0]

    def interrupting(*args, **kwargs):
        count[0] += 1
        if count[0] == call + 1:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, interrupting)
    chosen = {"seeds": [0], "arms": ["plain", "random", "rws"]}
    with pytest.raises(KeyboardInterrupt):
        run(path, **chosen)
    expected = compare(make_plan(read_experiment(finished[0]), [], **chosen), tmp_path / "expected")
    assert numbers(run(path, **chosen)) == numbers(expected)
    ends = [checkpoint.load(folder(p, "rws") / "last.pt")["model"] for p in (path, finished[0])]
    assert same_tensors(*ends)


def test_what_is_finished_is_not_run_again(finished, monkeypatch):
    path, found = finished
    monkeypatch.setattr(Training, "run", None)
    monkeypatch.setattr(arms, "measure", None)
    assert numbers(run(path)) == numbers(found)


def test_a_finished_arm_of_other_settings_is_refused(finished):
    path, _ = finished
    plan = make_plan(read_experiment(path), ["--train.lr", "0.5"])
    with pytest.raises(UserError, match=r"the run has train\.lr 0\.01, this command 0\.5"):
        compare(plan, path.parent / "elsewhere")


def test_one_seed_has_no_interval(finished, tmp_path):
    path, _ = finished
    found = compare(make_plan(read_experiment(path), [], seeds=[1], arms=["plain", "rws"]), tmp_path)
    each = found["differences"]["plain"]["rws"]["miou"]
    assert (each["low"], each["high"]) == (None, None)
    assert "[" not in (tmp_path / "table.md").read_text().split("## By size")[0].split("\n\n")[2]


# The control has the size of what it controls.


def test_random_fuses_as_many_cells_of_each_image_and_stage(root, tmp_path, monkeypatch):
    monkeypatch.setattr("rws.compare.__main__.write_results", lambda plan, out: {})
    monkeypatch.setattr(arms, "prune", lambda plan, seed: None)
    path = write_experiment(tmp_path, root)
    plan = make_plan(read_experiment(path), [], seeds=[0], arms=["random", "rws"])
    for arm in plan.arms:
        arms.run_arm(plan, arm, 0)
    banks = [Bank(folder(path, arm) / "cycles/0/bank") for arm in ("random", "rws")]
    ids = checkpoint.read_json(folder(path, "rws") / "cycles/0/slices.json")
    total = 0
    for image_id in ids:
        random, advantaged = (bank.read(image_id) for bank in banks)
        assert set(random) == set(advantaged)
        for stage in random:
            assert len(random[stage].cells) == len(advantaged[stage].cells)
            assert torch.equal(random[stage].n.sort().values, advantaged[stage].n.sort().values)
            total += len(random[stage].cells)
    assert total > 0
    assert banks[0].fused_share(6) == banks[1].fused_share(6)


def test_random_takes_over_the_selection_that_it_counts(root, tmp_path, monkeypatch):
    monkeypatch.setattr("rws.compare.__main__.write_results", lambda plan, out: {})
    path = write_experiment(tmp_path, root)
    alone = make_plan(read_experiment(path), [], seeds=[0], arms=["random"])
    arms.run_arm(alone, "random", 0)
    expected = tmp_path / "alone"
    folder(path, "random").rename(expected)
    plan = make_plan(read_experiment(path), [], seeds=[0], arms=["rws", "random"])
    arms.run_arm(plan, "rws", 0)
    arms.prune(plan, 0)
    monkeypatch.setattr("rws.cycle.steps.select_features", None)  # would raise
    arms.run_arm(plan, "random", 0)
    ends = [checkpoint.load(run / "last.pt")["model"] for run in (expected, folder(path, "random"))]
    assert same_tensors(*ends)
    arms.prune(plan, 0)
    assert not list(folder(path, "rws").glob("cycles/*/bank"))


# What one configuration may take over from another.


@pytest.fixture(scope="module")
def plan(root, tmp_path_factory):
    return make_plan(read_experiment(write_experiment(tmp_path_factory.mktemp("plan"), root)), [])


@pytest.mark.parametrize(
    ("one", "other", "steps"),
    [
        ("rws", "rws", ["whole", "score", "slices", "select"]),
        ("rws", "rws_mixed", ["whole", "score", "slices", "select"]),
        ("rws", "random", ["whole", "score", "slices"]),
        ("rws", "slices", ["whole", "score"]),
        ("slices", "rws", ["whole", "score"]),
        ("plain", "rws", ["whole"]),
        ("rws", "plain", ["whole"]),
    ],
)
def test_shared_steps(plan, one, other, steps):
    assert arms.shared_steps(plan.config(one, 0), plan.config(other, 0)) == steps


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"train.slice_epochs": 1.0}, ["whole", "score"]),
        ({"train.epochs": 4}, []),  # the learning rate falls over both trainings
        ({"slices.iou_weak_max": 0.5}, ["whole"]),
        ({"cycles.limit": 2}, []),
        ({"bank.precision": "half"}, ["whole", "score", "slices"]),
        ({"bank.online": True}, ["whole", "score", "slices"]),
        ({"train.lr": 0.5}, []),
        ({"train.first_epochs": 1}, []),
        ({"model.aux": False}, []),
    ],
)
def test_what_differs_is_done_anew(root, tmp_path, settings, steps):
    path = write_experiment(tmp_path, root, arms={"rws": {}, "other": settings})
    plan = make_plan(read_experiment(path), [])
    assert arms.shared_steps(plan.config("rws", 0), plan.config("other", 0)) == steps
    assert arms.shared_steps(plan.config("rws", 0), plan.config("rws", 1)) == []


# What is refused.


def refused(path: Path, capsys, *flags: str) -> str:
    assert main(["--config", str(path), *flags]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": [0]}, "unknown key 'seed'; the nearest known one is 'seeds'"),
        (
            {"settings": {"train.epoch": 3}},
            "unknown key 'train.epoch'; the nearest known one is 'train.epochs'",
        ),
        ({"arms": {"rws": {"fusion.mod": "gentle"}}}, "the nearest known one is 'fusion.mode'"),
        ({"arms": {"rws": {"fusion.mode": "square"}}}, "fusion.mode"),
        ({"arms": {"rws": {"fusion.anneal": "linear"}}}, "fusion.anneal 'linear' is retired"),
        ({"arms": {"rws": {"cycles.start": "slices"}}}, "cycles.start 'slices' is retired"),
        ({"arms": {"plain": {"train.lr": 0.1}}}, "the arm plain"),
        ({"arms": {}}, "at least one arm"),
        ({"settings": {"cycles.budget": "added"}}, "cycles.budget must be within"),
        ({"settings": {"cycles.budget": "within", "cycles.delta": 20}}, "cycles.delta must be 0"),
        ({"seeds": [-1]}, "seeds"),
    ],
)
def test_a_wrong_experiment_is_told_in_one_line(root, tmp_path, capsys, changes, said):
    line = refused(write_experiment(tmp_path, root, **changes), capsys)
    assert said in line
    assert line.count("\n") == 1


def test_wrong_flags_are_told(root, tmp_path, capsys):
    path = write_experiment(tmp_path, root)
    assert "no arm 'rvs'" in refused(path, capsys, "--arms", "rvs")
    assert "--seeds" in refused(path, capsys, "--seed", "3")
    assert "what the arm random is about" in refused(path, capsys, "--fusion.positions", "advantaged")
    assert "nearest known one is --train.lr" in refused(path, capsys, "--train.lrr", "3")
    assert "no such experiment" in refused(tmp_path / "none.yaml", capsys)


def test_an_experiment_like_another_holds_what_differs(root, tmp_path):
    path = write_experiment(tmp_path, root)
    child = tmp_path / "child.yaml"
    child.write_text("like: tiny.yaml\nname: child\nsettings: {train.lr: 0.5}\n")
    one, other = read_experiment(path), read_experiment(child)
    assert other.settings == {**one.settings, "train.lr": "0.5"}
    assert (other.name, other.arms, other.base) == ("child", one.arms, one.base)
    assert make_plan(other, []).config("rws", 3).train.lr == 0.5


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("experiments/*.yaml")), ids=lambda p: p.stem
)
def test_every_experiment_of_the_project_can_be_planned(path, monkeypatch):
    monkeypatch.chdir(path.parents[2])
    experiment = read_experiment(path)
    assert experiment.name == path.stem
    if experiment.settings.get("cycles.budget") == "added":
        schedule.check(make_plan(experiment, [], equal_budget=False))
        return
    plan = make_plan(experiment, [])
    assert "plain" in plan.arms
    ordinary = all(config.cycles.limit == 0 for config in plan.arms.values())
    taught = any(config.data.unlabelled for config in plan.arms.values())
    assert ordinary or taught or "rws" in plan.arms


# The numbers.


def test_interval_against_a_worked_example():
    """Differences 1, 2, 3, 6: mean 3, s^2 = 14 / 3, t(0.975, 3) = 3.182446."""
    found = difference([11.0, 12.0, 13.0, 16.0], [10.0] * 4)
    half = 3.182446 * math.sqrt(14 / 3) / 2
    assert found["each"] == [1, 2, 3, 6]
    assert found["mean"] == 3
    assert found["low"] == pytest.approx(3 - half, abs=1e-5)
    assert found["high"] == pytest.approx(3 + half, abs=1e-5)
    assert spread([1.0, 2.0, 3.0, 6.0])["std"] == pytest.approx(math.sqrt(14 / 3))
    assert spread([4.0]) == {"mean": 4.0, "std": None, "each": [4.0]}


def test_group_miou_leaves_out_classes_that_are_not_labelled_there():
    # Class 0: 3 right, 1 taken for class 2; class 1: 2 right, 2 taken for 0; class 2 is only predicted.
    confusion = [[3, 0, 1], [2, 2, 0], [0, 0, 0]]
    assert labelled_miou(confusion) == pytest.approx(100 * (3 / 6 + 2 / 4) / 2)
    assert labelled_miou([[0, 0], [0, 0]]) is None


def a_label() -> np.ndarray:
    label = np.random.default_rng(3).integers(0, 3, (6, 8)).astype(np.uint8).repeat(3, 0).repeat(3, 1)
    label[4:7, 2:9] = 255
    return label


def test_object_areas_against_a_flood():
    label = a_label()
    expected = np.zeros(label.shape)
    for start in np.ndindex(label.shape):
        region, edge = {start}, [start]
        while edge:
            r, c = edge.pop()
            for y, x in ((r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)):
                inside = 0 <= y < label.shape[0] and 0 <= x < label.shape[1]
                if inside and (y, x) not in region and label[y, x] == label[start]:
                    region.add((y, x))
                    edge.append((y, x))
        expected[start] = 0 if label[start] == 255 else len(region) / label.size
    np.testing.assert_allclose(object_area(label, 255), expected)


# Damaged files.


def test_a_damaged_report_is_made_again(finished, tmp_path, capsys):
    path, found = finished
    shutil.copytree(path.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / path.name
    config = (tmp_path / "copy/base.yaml").read_text()
    (tmp_path / "copy/base.yaml").write_text(
        config.replace(str(path.parent / "runs"), str(copy.parent / "runs"))
    )
    report = folder(copy, "rws") / "report.json"
    whole = report.read_bytes()
    report.write_bytes(whole.replace(b'"all"', b'"bll"'))
    assert numbers(run(copy)) == numbers(found)
    assert (
        f"warning: {report}: damaged (its checksum is wrong); the run is evaluated again"
        in capsys.readouterr().out
    )
    assert report.read_bytes() == whole


def test_damaged_lines_of_a_log_are_not_taken_over(finished, tmp_path, capsys):
    path, _ = finished
    plan = make_plan(read_experiment(path), [])
    source, target = plan.config("rws", 0), replace(plan.config("rws", 0), runs=str(tmp_path))
    lines = Artifacts(folder(path, "rws")).log.read_bytes().splitlines(keepends=True)
    first = [line for line in lines if b'-0"' in line]
    spoilt = tmp_path / "spoilt"
    shutil.copytree(folder(path, "rws"), spoilt / "rws")
    (spoilt / "rws/log.jsonl").write_bytes(b"".join([first[0].replace(b"1", b"2", 1), *lines[1:], b'{"cut']))
    arms.fork(replace(source, runs=str(spoilt), name="rws"), target, "whole")
    new = Artifacts(Path(target.runs) / target.name)
    assert new.log.read_bytes().splitlines(keepends=True) == first[1:]
    assert "2 damaged lines, which are left out" in capsys.readouterr().out
    assert new.begun.is_file(), "what the other was begun with"
    assert checkpoint.load(new.best)["cycle"] == 0


def test_a_lent_selection_that_is_damaged_is_made_anew(finished, tmp_path):
    """The random arm counts its positions in the bank of another arm."""
    path, _ = finished
    plan = make_plan(read_experiment(path), [])
    runs = {}
    for name in ("sound", "damaged"):
        config = replace(plan.config("random", 0), runs=str(tmp_path / name), name="random")
        source = replace(plan.config("rws", 0), runs=str(folder(path, "rws").parent), name="rws")
        arms.fork(source, config, "slices")
        artifacts = Artifacts(tmp_path / name / "random")
        if name == "damaged":
            artifacts.lent(0).mkdir()
            (artifacts.lent(0) / "index.json").write_text('{"shards": [0]}')
            (artifacts.lent(0) / "0.json").write_text("[]")
        run = Run(prepare(config, resume=True)[0])
        run._step("select", 0)
        runs[name] = (artifacts.left("select", 0) / "0.rows").read_bytes()
    assert runs["sound"] == runs["damaged"]
