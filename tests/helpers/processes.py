"""A run of a small network, as one process or under torchrun: `python processes.py DATA RUNS`."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # started by its path, as torchrun does

import torch
from tiny import TINY, TinyNetwork, tiny_config
from torch import nn

from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.models import FAMILIES
from rws.runtime import distributed
from rws.runtime.device import choose_device


class GroupNormNetwork(TinyNetwork):
    """Without batch statistics and dropout, which see only a process's own images."""

    def __init__(self, num_classes: int, aux: bool = True):
        super().__init__(num_classes, aux)
        for block in self.backbone:
            block[1] = nn.GroupNorm(2, block[1].num_features)
        self.classifier[0] = nn.Identity()


def main(root: str, runs: str) -> None:
    torch.set_num_threads(1)
    FAMILIES["tiny"] = replace(TINY, build=GroupNormNetwork)
    config = tiny_config(Path(root), Path(runs))
    # Adam divides by the gradient's size, so that a gradient near 0 turns rounding into whole steps.
    config = replace(config, train=replace(config.train, optimizer="sgd", lr=0.02))
    config = replace(config, slices=replace(config.slices, most_per_image=None))
    with distributed.processes(choose_device("cpu")):
        Run(prepare(config)[0]).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
