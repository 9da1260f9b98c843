"""best.pt and last.pt, which no state of a run names: made anew, or the run goes back, or a line says it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rws.cycle.artifacts import Artifacts
from rws.cycle.mending import Best, best_of, mend_best, mend_last
from rws.data.classes import DEMO
from rws.runs import checkpoint
from rws.runs.model_file import Card
from rws.runs.record import CycleRecord, RunState

CARD = Card("tiny", aux=False, stages=("a",), classes=DEMO, base_size=32)


def history(*mious: float) -> list[dict]:
    return [{"epoch": e, "loss": 1.0, "step": e, "miou": m} for e, m in enumerate(mious, 1)]


@pytest.mark.parametrize(
    ("histories", "expected"),
    [
        ([], None),
        ([[{"epoch": 1, "loss": 1.0, "step": 1}]], None),
        ([history(1, 3, 3, 2)], Best(0, 2, 3)),
        ([history(90), history(5, 4)], Best(1, 1, 5)),
        ([history(90), history(5, 4), history(3, 6)], Best(2, 2, 6)),
        ([history(90), []], Best(0, 1, 90)),
    ],
)
def test_the_best_epoch_is_that_which_the_hook_keeps(histories, expected):
    assert best_of(histories) == expected


def network(value: float) -> torch.nn.Module:
    made = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(made.weight, value)
    return made


def make_run(folder: Path, *histories: list[dict], stopped: str | None = None) -> tuple[Artifacts, RunState]:
    """A run after its last training on whole images; the weight of each network is its mIoU."""
    run, records = Artifacts(folder), []
    for k, epochs in enumerate(histories):
        if k:
            run.write_state("select", k - 1, RunState("whole", k, tuple(records)))
        run.save("whole", k, network(epochs[-1]["miou"]), CARD, epochs[-1])
        records.append(CycleRecord(k, whole=epochs, whole_images=8))
        run.write_state("whole", k, RunState("plain", k, tuple(records)))
    best = best_of(histories)
    run.save_best(best.cycle, network(best.miou), CARD, {"epoch": best.epoch, "miou": best.miou})
    state = RunState("plain", len(histories) - 1, tuple(records))
    return run, replace(state, step="slices", stopped=stopped) if stopped else state


def weight(path: Path) -> float:
    return checkpoint.load(path)["model"]["weight"].item()


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


SPOIL = [cut_off, Path.unlink]


@pytest.mark.parametrize("spoil", SPOIL)
def test_last_and_the_last_network_stand_for_each_other(tmp_path, spoil):
    run, state = make_run(tmp_path, history(1), history(2))
    assert mend_last(run, state) == []
    for path, other in ((run.last, run.left("whole", 1)), (run.left("whole", 1), run.last)):
        content = path.read_bytes()
        spoil(path)
        (line,) = mend_last(run, state) or [""]
        if path == run.last or spoil is cut_off:
            assert str(path) in line
            assert line.endswith(f"made anew from {other}")
            assert path.read_bytes() == content
        else:
            assert line == "", "a network that is gone is made by going back"


def test_a_last_network_of_another_cycle_is_not_taken(tmp_path):
    run, state = make_run(tmp_path, history(1), history(2))
    shutil.copy(run.left("whole", 0), run.last)
    cut_off(run.left("whole", 1))
    assert mend_last(run, state) == []


@pytest.mark.parametrize("spoil", SPOIL)
def test_the_best_network_is_copied_where_it_ended_its_training(tmp_path, spoil):
    run, state = make_run(tmp_path, history(9), history(2, 3))
    assert mend_best(run, state) == (state, [])
    content = run.best.read_bytes()
    spoil(run.best)
    found, (line,) = mend_best(run, state)
    assert found == state
    assert line.endswith(f"made anew from {run.left('whole', 1)}")
    assert run.best.read_bytes() == content


@pytest.mark.parametrize("spoil", SPOIL)
@pytest.mark.parametrize("stopped", [None, "cycle limit 1"])
def test_the_run_goes_back_to_the_training_that_made_it(tmp_path, spoil, stopped):
    run, state = make_run(tmp_path, history(9), history(4, 3), stopped=stopped)
    spoil(run.best)
    found, (line,) = mend_best(run, state)
    assert (found.step, found.cycle, len(found.cycles)) == ("whole", 1, 1)
    assert str(run.best) in line
    assert line.endswith("going back to the beginning of cycle 1: train")
    assert not run.best.exists()


def test_the_run_begins_anew_for_the_best_of_its_first_training(tmp_path):
    run, state = make_run(tmp_path, history(9, 8))
    run.best.unlink()
    found, (line,) = mend_best(run, state)
    assert found == RunState()
    assert line.endswith("going back to the beginning of cycle 0: train")


def test_a_best_network_that_gives_way_anyhow_is_not_made_again(tmp_path):
    run, state = make_run(tmp_path, history(9, 8))
    cut_off(run.best)
    later = RunState("whole", 1, state.cycles)
    found, (line,) = mend_best(run, later)
    assert found == later
    assert line.endswith("the next epoch that is evaluated takes its place")
    assert not run.best.exists()


def test_one_of_the_training_under_way_begins_that_training_anew(tmp_path):
    run, state = make_run(tmp_path, history(9), history(2))
    now = RunState("whole", 2, state.cycles)
    content = {"key": "whole-2", "model": {}, "history": history(7, 6)}
    checkpoint.save(run.training, content)
    checkpoint.save(run.training, content, keep=True)
    assert mend_best(run, now) == (now, [])
    run.best.unlink()
    found, (line,) = mend_best(run, now)
    assert found == now
    assert line.endswith("going back to the beginning of cycle 2: train")
    assert not run.training.exists()
    assert not checkpoint.before(run.training).exists()


def test_where_it_cannot_be_had_again_a_line_says_what_takes_its_place(tmp_path):
    """The networks of cycle 0, from which cycle 1 was trained, are no more."""
    run, state = make_run(
        tmp_path, history(50), history(9, 3), history(5), history(4), stopped="cycle limit 3"
    )
    run.clean(3)
    run.best.unlink()
    found, (line,) = mend_best(run, state)
    assert found == state
    source = run.left("whole", 2)
    assert f"that of cycle 1, epoch 1, mIoU 9.00, is lost; {source}, mIoU 5.00, takes its place" in line
    assert weight(run.best) == 5.0
    assert mend_best(run, state) == (state, []), "it is said once"
