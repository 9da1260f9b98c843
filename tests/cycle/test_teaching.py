"""Photographs without labels in a run: when they are taught, what a batch holds, going on bit for bit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from test_loop import assert_same_result, folder_of, go, place_of, result_of, resume, snapshots
from tiny import demo_set, same_tensors, tiny_config, with_train

from rws.config import Config
from rws.cycle import trainings
from rws.cycle.artifacts import Artifacts
from rws.cycle.setup import prepare
from rws.errors import UserError

pytestmark = pytest.mark.usefixtures("tiny_runs")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return demo_set(tmp_path_factory.mktemp("demo") / "set", train=8)


def taught(root: Path, runs: Path, unlabelled: str = "rest", **cycles) -> Config:
    """Half of eight labels; two passes, so that windows are seen as well."""
    config = tiny_config(root, runs, **{"limit": 1, "start": "last", **cycles})
    share = 0.5 if unlabelled == "rest" else 1.0
    data = replace(config.data, label_share=share, unlabelled=unlabelled)
    fusion = replace(config.fusion, enabled=False)
    return with_train(replace(config, data=data, fusion=fusion), teacher_passes=2, epochs=3)


def test_killed_anywhere_and_resumed_gives_the_same_run(root, tmp_path):
    config = taught(root, tmp_path / "undisturbed", limit=2)
    with snapshots(folder_of(config), tmp_path / "killed", every=80) as killed:
        go(config)
    assert {("teach", 0), ("whole", 1), ("teach", 1), ("whole", 2)} <= {place_of(r / "run") for r in killed}
    for runs in killed:
        resume(replace(config, runs=str(runs)))
        assert_same_run(replace(config, runs=str(runs)), config)


def assert_same_run(one: Config, other: Config) -> None:
    """What the two left is the same, and so are their targets."""
    results = [result_of(config) for config in (one, other)]
    targets = [
        {name: each["networks"].pop(name)["targets"] for name in list(each["networks"]) if "targets" in name}
        for each in results
    ]
    assert targets[0].keys() == targets[1].keys() != set()
    assert all(same_tensors(targets[0][name], targets[1][name]) for name in targets[0])
    assert_same_result(*results)


@pytest.fixture
def batches(monkeypatch) -> dict[str, list[tuple[str, ...]]]:
    """The ids of each training's batches."""
    seen: dict[str, list[tuple[str, ...]]] = {}
    real = trainings.Training._one_step

    def one_step(self, batch, signalled):
        seen.setdefault(self.job.key, []).append(batch.ids)
        return real(self, batch, signalled)

    monkeypatch.setattr(trainings.Training, "_one_step", one_step)
    return seen


def test_the_photographs_have_their_share_of_each_batch_after_the_first_training(root, tmp_path, batches):
    config = taught(root, tmp_path)
    setup, _ = prepare(config)
    labelled, photographs = set(setup.train.ids), set(setup.photographs.ids)
    assert (len(labelled), len(photographs)) == (4, 4)
    summary = go(config, overwrite=True)
    for key in ("whole-0", "plain-1"):
        assert {i for ids in batches[key] for i in ids} == labelled
    assert {i for ids in batches["whole-1"] for i in ids} == labelled | photographs
    assert all([i in photographs for i in ids] == [False, True] for ids in batches["whole-1"])
    assert summary["rws"]["images"] == summary["plain"]["images"] == 2 * 3 * 4
    cycles = json.loads((folder_of(config) / "state.json").read_text())["cycles"]
    assert [c.get("taught") for c in cycles] == [4, None]


def test_a_share_of_0_uses_no_photograph(root, tmp_path, batches):
    config = with_train(taught(root, tmp_path), unlabelled_share=0.0)
    setup, _ = prepare(config)
    go(config, overwrite=True)
    assert {i for ids in batches["whole-1"] for i in ids} == set(setup.train.ids)
    assert not Artifacts(folder_of(config)).left("teach", 0).exists()


def test_targets_that_were_damaged_are_made_again(root, tmp_path, capsys):
    config = taught(root, tmp_path / "undisturbed")
    with snapshots(folder_of(config), tmp_path / "killed", every=1000) as killed:
        go(config)
    before = next(runs for runs in killed if place_of(runs / "run") == ("whole", 1))
    shutil.copytree(before, tmp_path / "damaged")
    path = Artifacts(tmp_path / "damaged/run").left("teach", 0)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    again = replace(config, runs=str(tmp_path / "damaged"))
    resume(again)
    assert "going back to cycle 0: teach" in capsys.readouterr().out
    assert_same_run(again, config)


@pytest.fixture
def photographs(root, tmp_path) -> Path:
    """A folder of three photographs: validation images of another draw of the set."""
    other = demo_set(tmp_path / "other", train=1, val=5)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for path in sorted(other.rglob("JPEGImages/*"))[-3:]:
        shutil.copy(path, folder / f"new_{path.name}")
    return folder


def test_a_folder_of_photographs(root, tmp_path, photographs, batches):
    config = taught(root, tmp_path / "runs", str(photographs))
    go(config)
    new = {i for ids in batches["whole-1"] for i in ids if i.startswith("new_")}
    assert new == {path.stem for path in photographs.iterdir()}
    assert set(Artifacts(folder_of(config)).targets(0)) == new


def test_another_photograph_under_the_same_name_stops_a_resumed_run(root, tmp_path, photographs):
    config = taught(root, tmp_path / "runs", str(photographs))
    go(config)
    first, second, _ = sorted(photographs.iterdir())
    shutil.copy(second, first)
    with pytest.raises(UserError, match=r"begun with something else: photographs: 1 id .* another image"):
        resume(config)
