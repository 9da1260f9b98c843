"""The network, the images and the labels that several benchmarks share."""

import torch
from torch import Tensor, nn

from rws.core.stages import find_stages
from rws.models import FAMILIES, build_network

RESNET = "deeplabv3_resnet50"
NUM_CLASSES = 21
IGNORE = 255


def make_network(
    device: torch.device, name: str = RESNET, *, channels_last: bool = True
) -> tuple[nn.Module, dict[str, nn.Module]]:
    """An untrained network, the same each time, in our memory format, and its stages."""
    torch.manual_seed(0)
    network, _ = build_network(name, NUM_CLASSES, weights="none")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, std=0.2)  # without it the maps of an untrained network are 0
    layout = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(device, memory_format=layout)
    return network, find_stages(network, FAMILIES[name].stages)


def make_batch(
    batch: int, size: tuple[int, int], classes: int, device: torch.device
) -> tuple[Tensor, Tensor, list[int]]:
    """Random images; labels with `classes` classes in vertical stripes on background; the classes.

    Shape: (N, 3, H, W), (N, H, W) int64.
    """
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batch, 3, *size, generator=generator)
    height, width = size
    stripe = torch.arange(width) * (classes + 1) // width  # 0 is background
    labels = stripe.expand(batch, height, width).contiguous()
    return images.to(device), labels.to(device), list(range(1, classes + 1))
