"""Layers that a network holds and does not use, in two processes."""

import json
from pathlib import Path

import torch
from forks import run_in_processes
from torch import nn

from rws.models.same_size import same_size
from rws.runtime import distributed


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.used(x)


def steps(path: Path) -> None:
    """Two steps, each process with images of its own; how far the weights have moved is written to a file."""
    with distributed.processes(torch.device("cpu")):
        torch.manual_seed(0)
        network = same_size(Unused())
        before = network.used.weight.detach().clone()
        wrapped = distributed.parallel(network, torch.device("cpu"))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
        for step in range(2):
            torch.manual_seed(10 * step + distributed.rank())
            optimizer.zero_grad()
            wrapped(torch.randn(2, 3, 8, 8))["out"].square().mean().backward()
            optimizer.step()
        moved = distributed.gathered(float((network.used.weight - before).detach().norm()))
        if distributed.is_first():
            path.write_text(json.dumps(moved))


def test_two_processes_train_a_network_with_layers_that_it_does_not_use(tmp_path):
    run_in_processes(2, steps, tmp_path / "moved.json")
    first, second = json.loads((tmp_path / "moved.json").read_text())
    assert first == second > 0
