"""Layers that a network holds and does not use, in two processes: `python test_unused_layers.py`."""

import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started by its path, as torchrun does

from rws.models.same_size import same_size
from rws.runtime import distributed


class Unused(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.idle = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

    def forward(self, x):
        return self.used(x)


def steps() -> None:
    """Two steps, each process with images of its own; prints how far the weights have moved."""
    torch.set_num_threads(1)
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
            print("moved", *moved)


def test_two_processes_train_a_network_with_layers_that_it_does_not_use():
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        __file__,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("moved")]
    first, second = map(float, line.split()[1:])
    assert first == second > 0


if __name__ == "__main__":
    steps()
