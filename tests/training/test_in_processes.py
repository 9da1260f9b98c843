"""Two processes: their losses add up to that of the whole batch, and a batch in parts steps as one does."""

from pathlib import Path

import pytest
import torch
from forks import run_in_processes
from test_losses import a_batch, loss_of
from test_stepping import convolutions, distance, trained

from rws.config import TrainConfig
from rws.runtime import distributed

WEIGHTS = torch.tensor([0.5, 2.0, 3.0, 1.0])
NAMES = ("cross_entropy", "dice", "focal", "lovasz")
STEPS = {"steps": 3, "steps_per_epoch": 1, "batch_size": 4, "class_weights": (1.0, 2.0, 0.5, 3.0, 1.0, 1.0)}


def losses_of_a_part(folder: Path) -> None:
    """Leaves the sum over the processes of each loss of every other image."""
    with distributed.processes(torch.device("cpu")):
        logits, labels = (each.detach()[distributed.rank() :: 2] for each in a_batch())
        found = {name: loss_of(name, logits, labels) for name in NAMES}
        found["weighed"] = loss_of("cross_entropy", logits, labels, WEIGHTS)
        summed = {name: distributed.summed(loss).item() for name, loss in found.items()}
        if distributed.is_first():
            torch.save(summed, folder / "losses.pt")


def test_the_losses_of_two_processes_add_up(tmp_path):
    """For Dice and Lovász to the mean of the losses of the parts."""
    run_in_processes(2, losses_of_a_part, tmp_path)
    found = torch.load(tmp_path / "losses.pt")
    logits, labels = a_batch()
    for name in ("cross_entropy", "focal"):
        assert found[name] == pytest.approx(loss_of(name, logits, labels).item(), rel=1e-5)
    assert found["weighed"] == pytest.approx(
        loss_of("cross_entropy", logits, labels, WEIGHTS).item(), rel=1e-5
    )
    for name in ("dice", "lovasz"):
        parts = [loss_of(name, logits[k::2], labels[k::2]).item() for k in (0, 1)]
        assert found[name] == pytest.approx(sum(parts) / 2, rel=1e-5)


def config(accumulate: int) -> TrainConfig:
    return TrainConfig(
        optimizer="sgd",
        lr=0.1,
        batch_size=4,
        accumulate=accumulate,
        warmup_epochs=0.0,
        clip_grad=0.5,
        ema=0.5,
    )


def train_a_part(folder: Path) -> None:
    with distributed.processes(torch.device("cpu")):
        network = trained(folder / "two.pt", config(2), **STEPS)
        if distributed.is_first():
            torch.save(network.state_dict(), folder / "weights.pt")


def test_a_batch_in_parts_in_two_processes_is_that_of_one(tmp_path):
    run_in_processes(2, train_a_part, tmp_path)
    two, one = convolutions(), trained(tmp_path / "one.pt", config(1), **STEPS)
    two.load_state_dict(torch.load(tmp_path / "weights.pt"))
    moved = distance(one, convolutions())
    assert moved > 0.005
    assert distance(one, two) < 1e-4 * moved
