"""The cycle: what it writes, what each arm sees, and that a run killed anywhere goes on bit for bit."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image
from tiny import REPOSITORY, STAGES, demo_set, same_tensors, tiny_config, with_train

from rws.cli import parse
from rws.config import Config
from rws.cycle import artifacts, loop, trainings
from rws.cycle.artifacts import Artifacts
from rws.cycle.loop import Run, following, stop_reason
from rws.cycle.setup import prepare
from rws.data.sets.voc import VocLayout
from rws.errors import UserError
from rws.look.cam_vis import pictures
from rws.method import bank
from rws.method.bank import Bank, BankWriter
from rws.method.missing_weights import mean_missing
from rws.runs import checkpoint
from rws.runs.network import make_network
from rws.runs.record import INSIDE, STEPS
from rws.training.training import Training

pytestmark = pytest.mark.usefixtures("tiny_runs")

LIGHT = "deeplabv3_efficientnet_lite0"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return demo_set(tmp_path_factory.mktemp("demo") / "set")


def go(config: Config, **existing: bool) -> dict:
    return Run(prepare(config, **existing)[0], pictures(config)).run()


def resume(config: Config) -> dict:
    return go(config, resume=True)


# The state machine by table.


def test_following():
    assert [following(step, 3) for step in STEPS] == [
        ("plain", 3),
        ("score", 3),
        ("slices", 3),
        ("select", 3),
        ("teach", 3),
        ("whole", 4),
    ]


@pytest.mark.parametrize(
    ("weak", "limit", "delta", "reason"),
    [
        ([0], 10, 20, "no weak slices"),
        ([50, 0], 1, 0, "no weak slices"),
        ([50], 10, 20, None),  # nothing to compare with yet
        ([5], 10, 20, None),
        ([50], 0, 20, "cycle limit 0"),
        ([50, 90], 1, 20, "cycle limit 1"),
        ([50, 90], 2, 20, None),
        ([50, 31], 10, 20, "changed by 19"),
        ([50, 69], 10, 20, "changed by 19"),
        ([50, 30], 10, 20, None),  # "fewer than delta": equal goes on
        ([50, 70], 10, 20, None),
        ([50, 50], 10, 0, None),
        ([50, 50], 10, 1, "changed by 0"),
        # Fault 12: the comparison is with the cycle before, not with the first or with a constant.
        ([100, 60, 59], 10, 20, "changed by 1, fewer than 20"),
        ([100, 60, 100], 10, 20, None),
        ([60, 100, 59], 10, 20, None),
    ],
)
def test_stop_reason(weak, limit, delta, reason):
    found = stop_reason(weak, limit, delta)
    assert found is None if reason is None else reason in found


# An undisturbed run.


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> tuple[Config, dict]:
    """A run and its summary: two cycles, with pictures."""
    config = tiny_config(root, tmp_path_factory.mktemp("runs"), start="last")
    config = replace(config, cam_vis=True, cam_vis_images=2)
    return config, go(config)


def folder_of(config: Config) -> Path:
    return Path(config.runs) / config.name


def test_a_run_explains_itself(finished):
    folder = folder_of(finished[0])
    for name in ("config.yaml", "env.json", "log.jsonl", "summary.json", "last.pt", "best.pt", "tensorboard"):
        assert (folder / name).exists(), name
    for k in range(3):
        assert (folder / "cycles" / str(k) / "slices.json").is_file()
    assert {"command", "torch", "torchvision", "python", "device"} <= json.loads(
        (folder / "env.json").read_text()
    ).keys()
    assert yaml.safe_load((folder / "config.yaml").read_text())["cycles"]["start"] == "last"
    assert not list(folder.rglob(".*")), "temporary files are gone"


def test_summary_has_the_keys_that_were_asked_for(finished):
    config, summary = finished
    stored = json.loads((folder_of(config) / "summary.json").read_text())
    assert stored == json.loads(json.dumps(summary, allow_nan=False))
    assert stored["delta_miou"] == stored["rws"]["miou"] - stored["plain"]["miou"]
    for arm in ("plain", "rws"):
        iou = stored[arm]["iou"]
        assert list(iou) == ["background", "kite", "fish", "lamp", "spider", "flower"]
        known = [v for v in iou.values() if v is not None]
        assert stored[arm]["miou"] == pytest.approx(sum(known) / len(known))
    assert stored["stopped"] == "cycle limit 2"
    assert [c["cycle"] for c in stored["cycles"]] == [0, 1, 2]
    for c in stored["cycles"]:
        assert c["images"] == 4
        assert 0 < c["weak_slices"] <= c["windows"]
        assert all(0 <= value <= 100 for value in [*c["miou"], *c["plain_miou"]])
        assert list(c["missing_weight"]) == list(STAGES)
        assert c["attention"]["images"] == 4
        for stage, mean in c["missing_weight"].items():
            assert mean == pytest.approx(mean_missing(c["attention"]["groups"], stage))
    assert [len(c["miou"]) for c in stored["cycles"]] == [2, 2, 2], "mIoU of each epoch"
    steps = [[name for name in c["seconds"] if name not in INSIDE] for c in stored["cycles"]]
    assert steps == [list(STEPS)] * 2 + [list(STEPS)[:3]]
    for c in stored["cycles"]:
        inside = [c["seconds"][name] for name in INSIDE]
        trainings = [c["seconds"].get(name, 0) for name in ("whole", "plain", "slices")]
        assert 0 < sum(inside) <= sum(trainings) + 0.05, "rounded to hundredths"


def test_fused_share_is_that_of_the_bank(finished):
    config, summary = finished
    first, *others = (c["fused_share"] for c in summary["cycles"])
    assert first is None
    for share in others:
        assert list(share) == list(STAGES)
        assert all(0 <= value < 1 for value in share.values())
        assert sum(share.values()) > 0, "these tests would show nothing without fusion"
    assert others[-1] == Bank(folder_of(config) / "cycles/1/bank").fused_share(4)


def test_log_has_a_line_an_epoch(finished):
    lines = [json.loads(line) for line in (folder_of(finished[0]) / "log.jsonl").read_text().splitlines()]
    trainings = ["whole-0", "slices-0", "whole-1", "plain-1", "slices-1", "whole-2", "plain-2"]
    assert list(dict.fromkeys(line["training"] for line in lines)) == trainings
    assert [line["epoch"] for line in lines if line["training"] == "whole-1"] == [1, 2]
    assert all(
        math.isfinite(line["loss"]) and ("miou" in line) != ("slices" in line["training"]) for line in lines
    )


def test_the_plain_arm_sees_as_many_images(finished):
    config, summary = finished
    cycles = json.loads((folder_of(config) / "state.json").read_text())["cycles"]
    whole, sliced = (sum(c.get(k, 0) for c in cycles) for k in ("whole_images", "slice_images"))
    assert whole == 3 * 2 * 4
    assert sliced > 0
    assert summary["plain"]["images"] == summary["rws"]["images"] == whole + sliced
    # ... and in each cycle, as what its history says it trained on.
    for k, c in enumerate(cycles):
        before = cycles[k - 1]["slice_images"] if k else 0
        assert c["plain_images"] == c["whole_images"] + before == c["plain"][-1]["step"] * 2


def test_the_first_training_is_shared(finished):
    summary = finished[1]
    assert summary["cycles"][0]["plain_miou"] == summary["cycles"][0]["miou"]
    assert summary["plain"]["miou_one_training"] == summary["cycles"][0]["miou"][-1]


def test_best_and_last(finished):
    config, summary = finished
    best, last = (checkpoint.load(folder_of(config) / name) for name in ("best.pt", "last.pt"))
    assert (
        best["miou"]
        == summary["rws"]["best"]["miou"]
        == max(m for c in summary["cycles"][1:] for m in c["miou"])  # cycle 0 is before RWS
    )
    assert (best["cycle"], best["epoch"]) == (
        summary["rws"]["best"]["cycle"],
        summary["rws"]["best"]["epoch"],
    )
    assert (last["cycle"], last["miou"]) == (2, summary["rws"]["miou"])
    trained = checkpoint.load(folder_of(config) / "cycles/2/whole.pt")
    assert same_tensors(last["model"], trained["model"])


def test_checkpoints_hold_plain_containers_only(finished):
    paths = list(folder_of(finished[0]).rglob("*.pt"))
    assert {p.name for p in paths} >= {"best.pt", "last.pt", "whole.pt", "plain.pt", "slices.pt"}
    for path in paths:
        assert torch.load(path, weights_only=True)["format"] == checkpoint.FORMAT


def test_cam_vis_writes_a_picture_for_each_chosen_image_and_cycle(finished):
    folder = folder_of(finished[0]) / "cam"
    assert sorted(p.name for p in folder.iterdir()) == ["0", "1", "2"]
    names = [sorted(p.name for p in (folder / str(k)).iterdir()) for k in range(3)]
    assert names == [["train_0000.png", "train_0003.png"]] * 3
    with Image.open(folder / "0" / names[0][0]) as picture:
        assert min(picture.size) > 200


def test_slices_are_boxes_inside_their_images(finished):
    boxes = checkpoint.read_json(folder_of(finished[0]) / "cycles/1/slices.json")
    assert list(boxes) == [f"train_{i:04d}" for i in range(4)]
    for each in boxes.values():
        assert len(each) <= 2
        assert all(y >= 0 and x >= 0 and y + h <= 120 and x + w <= 160 for y, x, h, w in each)


def test_a_finished_run_resumes_to_itself(finished):
    config, summary = finished
    before = (folder_of(config) / "last.pt").read_bytes()
    assert resume(config) == summary
    assert (folder_of(config) / "last.pt").read_bytes() == before


def test_the_console_shows_a_row_a_cycle_and_says_why_it_stopped(root, tmp_path, capsys):
    summary = go(replace(tiny_config(root, tmp_path, limit=1), cam_vis=True, cam_vis_images=1))
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"stopped: {summary['stopped']}"
    heads = [i for i, line in enumerate(lines) if line.split()[:3] == ["cycle", "weak", "slices"]]
    assert len(heads) == 1
    assert lines[heads[0] + 1].split()[0] == "0"
    (table,) = (i for i, line in enumerate(lines) if line.startswith("missing weight of each stage: "))
    rows = [line.split() for line in lines[table + 2 : table + 2 + len(STAGES)]]
    assert [row[0] for row in rows] == list(STAGES)
    for row in rows:
        means = [c["missing_weight"][row[0]] for c in summary["cycles"]]
        assert [float(cell) for cell in row[1:3]] == pytest.approx(means, abs=0.0051)
    assert summary["guidance"] == lines[table + 2 + len(STAGES) : -1]


def test_nothing_is_written_under_the_data_root(root, tmp_path):
    """Fault 8."""

    def listing() -> dict:
        return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in [root, *root.rglob("*")]}

    before = listing()
    go(replace(tiny_config(root, tmp_path, limit=1), cam_vis=True, cam_vis_images=1))
    assert listing() == before


def test_without_plain_arm(root, tmp_path):
    summary = go(tiny_config(root, tmp_path, limit=1, plain=False))
    assert summary["plain"]["miou"] == summary["cycles"][0]["miou"][-1]
    assert summary["plain"]["images"] == 8
    assert not list(tmp_path.rglob("plain.pt"))


def test_limit_zero_is_one_plain_training(root, tmp_path):
    summary = go(tiny_config(root, tmp_path, limit=0))
    assert (summary["stopped"], summary["delta_miou"]) == ("cycle limit 0", 0)


# What each training starts from.


@pytest.fixture
def first_weights(monkeypatch) -> dict[str, dict]:
    """The weights that each training begins with, by its key."""
    begun = {}
    real = Training.run

    def run(self, on_epoch):
        begun[self.job.key] = {k: v.clone() for k, v in self.network.state_dict().items()}
        return real(self, on_epoch)

    monkeypatch.setattr(Training, "run", run)
    return begun


@pytest.fixture
def ends(monkeypatch) -> dict[str, dict]:
    """The weights that each training leaves, by its key."""
    left = {}
    real = Artifacts.save

    def save(self, step, k, network, card, record):
        left[f"{step}-{k}"] = {key: v.clone() for key, v in network.state_dict().items()}
        return real(self, step, k, network, card, record)

    monkeypatch.setattr(Artifacts, "save", save)
    return left


@pytest.mark.parametrize("start", ["initial", "last"])
def test_what_each_training_starts_from(root, tmp_path, first_weights, ends, start):
    config = tiny_config(root, tmp_path, start=start)
    go(config)
    initial = make_network(config, 6, torch.device("cpu"))[0].state_dict()
    assert set(first_weights) == {f"{s}-{k}" for s in ("whole", "plain") for k in (1, 2)} | {
        "whole-0",
        "slices-0",
        "slices-1",
    }
    assert same_tensors(first_weights["whole-0"], initial)
    for k in (1, 2):
        before = {"initial": initial, "last": ends[f"whole-{k - 1}"]}
        assert same_tensors(first_weights[f"whole-{k}"], before[start])
        copied = initial if start == "initial" else ends[f"whole-{k - 1}"]
        assert same_tensors(first_weights[f"slices-{k - 1}"], copied)
    # The plain arm trains on from where it was; its first training is the shared one.
    assert same_tensors(first_weights["plain-1"], ends["whole-0"])
    assert same_tensors(first_weights["plain-2"], ends["plain-1"])
    assert not same_tensors(ends["whole-0"], initial)


# Refusals.


def test_an_existing_run_is_left_alone_unless_told(root, tmp_path):
    config = tiny_config(root, tmp_path, limit=0)
    go(config)
    before = (folder_of(config) / "last.pt").stat().st_mtime_ns
    with pytest.raises(UserError, match=r"--resume or --overwrite"):
        go(config)
    assert (folder_of(config) / "last.pt").stat().st_mtime_ns == before
    (folder_of(config) / "mark").touch()
    go(config, overwrite=True)
    assert not (folder_of(config) / "mark").exists()
    assert "overwrite" not in (folder_of(config) / "config.yaml").read_text()


def test_a_folder_that_is_no_run_is_never_touched(root, tmp_path):
    config = tiny_config(root, tmp_path)
    folder_of(config).mkdir(parents=True)
    (folder_of(config) / "thesis.tex").write_text("years of work")
    for existing in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(UserError, match="not a run"):
            prepare(config, **existing)
    assert [p.name for p in folder_of(config).iterdir()] == ["thesis.tex"]


CHANGES = {
    "seed": lambda c: replace(c, seed=2),
    "train.lr": lambda c: with_train(c, lr=0.5),
    "train.epochs": lambda c: with_train(c, epochs=3),
    "cycles.limit": lambda c: replace(c, cycles=replace(c.cycles, limit=5)),
    "data.crop_size": lambda c: replace(c, data=replace(c.data, crop_size=(32, 32))),
    "slices.step": lambda c: replace(c, slices=replace(c.slices, step=0.5)),
}


@pytest.mark.parametrize("key", CHANGES)
def test_resuming_with_another_configuration_names_the_key(root, tmp_path, key):
    config = tiny_config(root, tmp_path, limit=0)
    prepare(config)
    with pytest.raises(UserError, match=rf"the run has {key} ") as caught:
        prepare(CHANGES[key](config), resume=True)
    assert str(folder_of(config) / "config.yaml") in str(caught.value)


def test_what_changes_no_number_may_change(root, tmp_path):
    config = tiny_config(root, tmp_path, limit=0)
    prepare(config)
    other = replace(config, cam_vis=True, data=replace(config.data, workers=1))
    assert prepare(other, resume=True)[0].workers == 1


# Killed anywhere, and resumed.


def result_of(config: Config) -> dict:
    """All that a run leaves for others: the summary without seconds, networks, slices, banks."""
    folder = folder_of(config)
    summary = json.loads((folder / "summary.json").read_text())
    for c in summary["cycles"]:
        del c["seconds"]
    networks = {str(p.relative_to(folder)): checkpoint.load(p) for p in folder.rglob("*.pt")}
    files = [p for p in folder.rglob("*") if p.is_file() and p.parent.name == "bank"]
    return {
        "summary": summary,
        "networks": networks,
        "files": {str(p.relative_to(folder)): p.read_bytes() for p in files},
        "boxes": {p.parent.name: p.read_text() for p in folder.rglob("slices.json")},
    }


def assert_same_result(one: dict, other: dict) -> None:
    assert one["summary"] == other["summary"]
    assert one["boxes"] == other["boxes"]
    assert one["files"] == other["files"]
    assert one["networks"].keys() == other["networks"].keys()
    for name, content in one["networks"].items():
        twin = dict(other["networks"][name])
        assert same_tensors(content.pop("model"), twin.pop("model")), name
        assert content == twin, name


def fingerprint(folder: Path) -> tuple:
    """What a resumed run could tell apart."""
    skipped = ("tensorboard", "log.jsonl", "env.json")
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and not set(skipped) & set(p.parts))
    return tuple((str(p.relative_to(folder)), p.read_bytes()) for p in paths)


def place_of(folder: Path) -> tuple[str, int]:
    """The step that a run's folder is in."""
    state = json.loads((folder / "state.json").read_text()) if (folder / "state.json").is_file() else {}
    return state.get("step", "whole"), state.get("cycle", 0)


@contextmanager
def snapshots(folder: Path, into: Path, every: int) -> Iterator[list[Path]]:
    """Copies of a run's folder as a SIGKILL would leave it, wherever it writes, removes or trains a step.

    Taken before and after every replacement of a file and every removal, after every optimizer step, before
    and after each image's rows go into a bank; equal ones once. Kept are the first of each step and each
    `every`th.
    """
    taken: list[Path] = []
    seen: set = set()
    entered: set = set()

    def take() -> None:
        if not folder.exists() or (now := fingerprint(folder)) in seen:
            return
        keep = len(seen) % every == 0 or place_of(folder) not in entered
        seen.add(now)
        entered.add(place_of(folder))
        if keep:
            taken.append(into / str(len(seen)))
            shutil.copytree(folder, taken[-1] / folder.name)

    def watched(real: Callable) -> Callable:
        def call(*args, **kwargs):
            take()
            result = real(*args, **kwargs)
            take()
            return result

        return call

    places = [
        (os, "replace"),
        (shutil, "rmtree"),
        (shutil, "copyfile"),
        (Path, "unlink"),
        (Training, "_one_step"),
        (BankWriter, "add"),
        (BankWriter, "close"),
        (Run, "_step"),
    ]
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in places:
            patch.setattr(owner, name, watched(getattr(owner, name)))
        yield taken


@pytest.mark.parametrize(
    ("start", "limit", "every"),
    [
        ("initial", 1, 200),
        ("last", 2, 200),
        pytest.param("initial", 2, 1, marks=pytest.mark.slow),
        pytest.param("last", 2, 1, marks=pytest.mark.slow),
    ],
)
def test_killed_anywhere_and_resumed_gives_the_same_run(root, tmp_path, start, limit, every):
    """At every boundary between steps, and at each `every`th place within them."""
    config = tiny_config(root, tmp_path / "undisturbed", start=start, limit=limit)
    with snapshots(folder_of(config), tmp_path / "killed", every) as killed:
        go(config)
    expected = result_of(config)
    steps = {(s, k) for k in range(limit) for s in STEPS} | {(s, limit) for s in list(STEPS)[:3]}
    assert {place_of(runs / config.name) for runs in killed} >= steps
    for runs in killed:
        resume(replace(config, runs=str(runs)))
        assert_same_result(result_of(replace(config, runs=str(runs))), expected)


def test_killed_with_all_that_small_sets_take_and_resumed_gives_the_same_run(root, tmp_path):
    """Strong augmentation, a sum of losses, class weights, an average, parts, clipping, early stop."""
    config = with_train(
        tiny_config(root, tmp_path / "undisturbed", limit=1),
        epochs=3,
        loss="cross_entropy+dice+lovasz",
        class_weights="median",
        ema=0.8,
        accumulate=2,
        clip_grad=1.0,
        early_stop=1,
    )
    config = replace(config, data=replace(config.data, augment="strong", copy_paste=0.5))
    with snapshots(folder_of(config), tmp_path / "killed", every=300) as killed:
        go(config)
    expected = result_of(config)
    cycles = json.loads((folder_of(config) / "state.json").read_text())["cycles"]
    steps = [record[-1]["step"] for c in cycles for record in (c["whole"], c["plain"])]
    assert min(steps) < 6, "no training has stopped early"
    assert [c["whole_images"] for c in cycles] == [c["whole"][-1]["step"] * 2 for c in cycles]
    assert [c["plain_images"] for c in cycles] == [c["plain"][-1]["step"] * 2 for c in cycles]
    assert any(sum(c["fused_share"].values()) for c in expected["summary"]["cycles"] if c["fused_share"])
    assert len(killed) > 8
    for runs in killed:
        resume(replace(config, runs=str(runs)))
        assert_same_result(result_of(replace(config, runs=str(runs))), expected)


def test_without_slice_epochs_the_network_itself_sees_the_slices(root, tmp_path):
    """It is a copy of the one trained on whole images, which then takes the whole budget of a cycle."""
    config = with_train(tiny_config(root, tmp_path, start="last", limit=1, budget="within"), slice_epochs=0.0)
    go(config)
    cycle = folder_of(config) / "cycles/0"
    whole, sliced = (checkpoint.load(cycle / f"{name}.pt")["model"] for name in ("whole", "slices"))
    assert same_tensors(whole, sliced)
    first, second = json.loads((folder_of(config) / "state.json").read_text())["cycles"]
    assert first["slice_images"] == 0
    assert second["whole_images"] == second["plain_images"] == 2 * 4
    assert any(share > 0 for share in second["fused_share"].values())


# What a step calls when it is cut off, by name; each is interrupted at its every call.
INTERRUPTED = {
    "a step of a training": (Training, "_one_step"),
    "the state of a training": (Training, "_store"),
    "the scores of an epoch": (trainings, "evaluate"),
    "a network": (artifacts, "save_trained"),
    "boxes or the state of the run": (checkpoint, "write_json"),
    "the copy for the plain arm": (shutil, "copyfile"),
    "an image's rows": (BankWriter, "add"),
    "the index of a bank": (bank, "write_json"),
    "reading an image": (VocLayout, "image"),
    "the summary": (loop, "summarise"),
}


@contextmanager
def interrupted(owner: object, name: str, calls: int) -> Iterator[list[int]]:
    """KeyboardInterrupt in place of a function's call number `calls`, counted from 0."""
    real, count = getattr(owner, name), [0]

    def patched(*args, **kwargs):
        count[0] += 1
        if count[0] == calls + 1:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, patched)
        yield count


@pytest.fixture(scope="module")
def one_cycle(root, tmp_path_factory) -> tuple[Config, dict]:
    config = tiny_config(root, tmp_path_factory.mktemp("one") / "undisturbed", limit=1, start="last")
    config = replace(config, data=replace(config.data, check=False))
    go(config)
    return config, result_of(config)


@pytest.mark.parametrize("what", INTERRUPTED)
def test_interrupted_at_every_call_in_turn(one_cycle, tmp_path, what):
    """One run, interrupted again and again: the n-th time at a function's n-th call since it went on."""
    config, expected = replace(one_cycle[0], runs=str(tmp_path)), one_cycle[1]
    for calls in range(100):
        with interrupted(*INTERRUPTED[what], calls) as count:
            try:
                resume(config)
                break
            except KeyboardInterrupt:
                assert count[0] == calls + 1
    assert calls >= 1
    assert_same_result(result_of(config), expected)


# train.py in a process that gets SIGKILL right after the run's state has been written for the first time.
KILLED = """
import os, runpy, signal, sys
from rws.runs import checkpoint
real = checkpoint.write_json
def write_json(path, content):
    real(path, content)
    if path.name == "state.json":
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.write_json = write_json
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_killed_for_real(tmp_path):
    """train.py itself with the light network, in processes of its own."""
    root = demo_set(tmp_path / "set")
    values = {
        "runs": str(tmp_path),
        "model": {"name": LIGHT, "weights": "none"},
        "data": {"name": "demo", "root": str(root), "base_size": 32, "crop_size": [32, 48], "workers": 0},
        "train": {"lr": 0.001, "batch_size": 2},
        "slices": {"step": 0.5, "most_per_image": 1, "iou_weak_max": 1.0},
        "cycles": {"limit": 1, "delta": 0},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))

    def process(*flags: str, before: tuple = ()) -> int:
        command = [sys.executable, *before, str(REPOSITORY / "train.py"), "--config", "c.yaml", *flags]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True).returncode

    assert process("--name", "b", before=("-c", KILLED)) == -signal.SIGKILL
    state = json.loads((tmp_path / "b/state.json").read_text())
    assert (state["step"], state["cycle"]) == ("plain", 0)
    assert process("--name", "b", "--resume") == 0
    go(parse(["--config", str(tmp_path / "c.yaml"), "--name", "a"]).config)
    one, other = (result_of(replace(Config(), runs=str(tmp_path), name=name)) for name in "ab")
    other["summary"]["name"] = "a"
    assert_same_result(one, other)
    assert one["summary"]["stopped"] == "cycle limit 1", "the run has no fused training"
