"""A small network in torchvision's manner: batch normalisation, in-place ReLUs, {"out", "aux"}."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SmallNetwork(nn.Module):
    """Stages backbone.0 .. backbone.3 with 6, 8, 10, 12 channels at strides 1, 2, 4, 4."""

    def __init__(self, classes: int = 4):
        super().__init__()
        stages, last = [], 3
        for channels, stride in ((6, 1), (8, 2), (10, 2), (12, 1)):
            conv = nn.Conv2d(last, channels, 3, stride, 1)
            stages.append(nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)))
            last = channels
        self.backbone = nn.Sequential(*stages)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Conv2d(last, classes, 1)
        self.aux_classifier = nn.Conv2d(10, classes, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        middle = self.backbone[:3](x)
        out = self.classifier(self.dropout(self.backbone[3](middle)))
        heads = {"out": out, "aux": self.aux_classifier(middle)}
        return {k: F.interpolate(v, x.shape[-2:], mode="bilinear") for k, v in heads.items()}


def fill_statistics(network: nn.Module) -> nn.Module:
    """Running statistics and biases as after some training, so that eval mode differs from train mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
    return network


@pytest.fixture
def small() -> nn.Module:
    torch.manual_seed(7)
    return fill_statistics(SmallNetwork())


@pytest.fixture
def small_stages() -> list[str]:
    return [f"backbone.{k}" for k in range(4)]


@pytest.fixture
def filled():
    """The function that gives a network statistics."""
    return fill_statistics
