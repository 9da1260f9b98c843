"""Damaged files of a stopped run: it goes back to before they were made, and ends as if nothing had been."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import demo_set, same_tensors, tiny_config

from rws.config import Config
from rws.cycle.artifacts import LEFT, Artifacts
from rws.cycle.loop import Run
from rws.cycle.recovery import latest_sound_state
from rws.cycle.setup import prepare
from rws.errors import DamagedFile
from rws.method.bank import Bank
from rws.runs import checkpoint

pytestmark = pytest.mark.usefixtures("tiny_runs")


def results(folder: Path) -> tuple[dict, dict]:
    summary = json.loads((folder / "summary.json").read_text())
    for c in summary["cycles"]:
        del c["seconds"]
    return summary, checkpoint.load(folder / "last.pt")["model"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> tuple[Config, Path, tuple[dict, dict]]:
    """A run that was stopped after each step of cycle 1: its folder at that moment; and its results."""
    place = tmp_path_factory.mktemp("stopped")
    config = tiny_config(demo_set(place / "set"), place / "runs", start="last")
    folder, real = place / "runs" / config.name, Run._step

    def step(run: Run, name: str, k: int) -> None:
        real(run, name, k)
        if k == 1:
            shutil.copytree(folder, place / name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_step", step)
        Run(prepare(config)[0]).run()
    return config, place, results(folder)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    """In a weight of a checkpoint, in the middle of anything else."""
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    if path.suffix == ".pt":
        place = content.index(checkpoint.load(path)["model"]["backbone.1.1.bias"].numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)


def remove(path: Path) -> None:
    path.unlink()


# What the training after cycle 1 goes on from.
FILES = ["1/whole.pt", "1/plain.pt", "1/slices.pt", "1/slices.json", "1/bank/0.rows"]


@pytest.mark.parametrize(
    ("name", "damage"),
    # A changed bit in JSON is another text, which may be just as good.
    [(n, d) for n in FILES for d in (truncate, flip_a_bit) if (n, d) != ("1/slices.json", flip_a_bit)],
)
def test_a_run_whose_file_was_damaged_ends_as_if_nothing_had_been(
    stopped, tmp_path, capsys, name: str, damage: Callable
):
    config, place, want = stopped
    shutil.copytree(place / "select", tmp_path / config.name)
    damage(tmp_path / config.name / "cycles" / name)
    Run(prepare(replace(config, runs=str(tmp_path)), resume=True)[0]).run()
    assert "warning: " in capsys.readouterr().out
    found = results(tmp_path / config.name)
    assert found[0] == want[0]
    assert same_tensors(found[1], want[1])


# This run has no photographs without labels, so `teach` leaves nothing.
@pytest.mark.parametrize("step", [step for step in LEFT if step != "teach"])
def test_it_goes_back_no_further_than_to_before_the_damaged_file(stopped, tmp_path, step):
    _, place, _ = stopped
    shutil.copytree(place / step, tmp_path / "run")
    made = tmp_path / "run/cycles/1" / LEFT[step]
    truncate(made / "0.rows" if made.is_dir() else made)
    state, wrong = latest_sound_state(Artifacts(tmp_path / "run"))
    assert (state.cycle, state.step) == (1, step)
    assert str(made) in wrong[0]


def test_a_sound_run_goes_on_where_it_was(stopped):
    _, place, _ = stopped
    for step in LEFT:
        state, wrong = latest_sound_state(Artifacts(place / step))
        assert wrong == []
        assert state.to_dict() == checkpoint.read_json(place / step / "state.json")


def test_a_run_of_which_nothing_is_left_starts_anew(stopped, tmp_path):
    _, place, _ = stopped
    shutil.copytree(place / "plain", tmp_path / "run")
    for k in (0, 1):
        remove(tmp_path / f"run/cycles/{k}/whole.pt")
    state, wrong = latest_sound_state(Artifacts(tmp_path / "run"))
    assert state is None
    assert "whole.pt: no such checkpoint" in wrong[0]


# The files alone.


def test_a_checkpoint_with_one_wrong_bit_is_refused(tmp_path):
    """Torch reads it, as torch.save does not check what it stored."""
    content = {"model": {"a": torch.arange(1000.0)}, "step": 3, "names": ["x", ("y", None)]}
    checkpoint.save(tmp_path / "a.pt", content)
    assert checkpoint.load(tmp_path / "a.pt")["names"] == ["x", ("y", None)]
    bits = bytearray((tmp_path / "a.pt").read_bytes())
    place = bits.index(torch.arange(500.0, 510.0).numpy().tobytes())
    bits[place] ^= 4
    (tmp_path / "a.pt").write_bytes(bits)
    with pytest.raises(DamagedFile):
        checkpoint.load(tmp_path / "a.pt")


@pytest.mark.parametrize("changed", ["model", "step", "names"])
def test_the_checksum_is_over_every_value(tmp_path, changed):
    content = {"model": {"a": torch.zeros(3, dtype=torch.bfloat16)}, "step": 3, "names": ["x"]}
    checkpoint.save(tmp_path / "a.pt", content)
    stored = torch.load(tmp_path / "a.pt", weights_only=True)
    stored[changed] = {"model": {"a": torch.ones(3, dtype=torch.bfloat16)}, "step": 4, "names": ["y"]}[
        changed
    ]
    torch.save(stored, tmp_path / "a.pt")
    with pytest.raises(DamagedFile, match="checksum is wrong"):
        checkpoint.load(tmp_path / "a.pt")


def test_a_checksum_that_has_lost_its_name_is_not_that_of_an_old_checkpoint(tmp_path):
    checkpoint.save(tmp_path / "a.pt", {"step": 3})
    content = (tmp_path / "a.pt").read_bytes()
    name = b"\x06\x00\x00\x00sha256"  # as a pickle has it
    assert content.count(name) == 1
    (tmp_path / "a.pt").write_bytes(content.replace(name, name.replace(b"s", b"r")))
    with pytest.raises(DamagedFile, match="checksum is wrong"):
        checkpoint.load(tmp_path / "a.pt")
    torch.save({"format": checkpoint.FORMAT, "step": 3}, tmp_path / "old.pt")
    assert checkpoint.load(tmp_path / "old.pt")["step"] == 3


def test_a_bank_with_one_wrong_bit_is_refused(stopped):
    _, place, _ = stopped
    Bank(place / "select/cycles/1/bank").verify()
    shutil.copytree(place / "select/cycles/1/bank", place / "bank")
    flip_a_bit(place / "bank/0.rows")
    with pytest.raises(DamagedFile, match=r"0\.rows: damaged"):
        Bank(place / "bank").verify()
