"""A run of a small network that one process and several can do alike."""

from dataclasses import replace
from pathlib import Path

from tiny import TINY, TinyNetwork, tiny_config
from torch import nn

from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.models import FAMILIES
from rws.models.sc_cam import SubCategoryNetwork
from rws.runtime import distributed
from rws.runtime.device import choose_device
from rws.sc_cam.rounds import Rounds


class GroupNormNetwork(TinyNetwork):
    """Without batch statistics and dropout, which see only a process's own images."""

    def __init__(self, num_classes: int, aux: bool = True):
        super().__init__(num_classes, aux)
        for block in self.backbone:
            block[1] = nn.GroupNorm(2, block[1].num_features)
        self.classifier[0] = nn.Identity()


def sub_category_network(num_classes: int, aux: bool = True) -> SubCategoryNetwork:
    return SubCategoryNetwork(GroupNormNetwork(num_classes).backbone, 8, num_classes)


METHODS = {"rws": (GroupNormNetwork, Run), "sc_cam": (sub_category_network, Rounds)}


def run(method: str, root: Path, runs: Path) -> None:
    """Run `rws` or `sc_cam` on the demo set under `root`, in this process or those that torchrun started."""
    build, loop = METHODS[method]
    FAMILIES["tiny"] = replace(TINY, build=build)
    config = tiny_config(root, runs)
    # Adam divides by the gradient's size, so that a gradient near 0 turns rounding into whole steps.
    config = replace(config, train=replace(config.train, optimizer="sgd", lr=0.02))
    config = replace(config, slices=replace(config.slices, most_per_image=None))
    config = replace(config, sc_cam=replace(config.sc_cam, rounds=2, scales=(1.0,)))
    with distributed.processes(choose_device("cpu")):
        loop(prepare(config)[0]).run()
