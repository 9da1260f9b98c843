"""The network, images, labels and bank that several benchmarks share."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.core.stages import find_stages
from rws.method.bank import Bank, BankWriter, Precision, Rows, seal
from rws.models import FAMILIES, build_network

NUM_CLASSES = 21
IGNORE = 255


def make_network(
    device: torch.device, name: str, *, channels_last: bool = True
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


def random_rows(shape: tuple[int, int, int], share: float, generator: torch.Generator) -> Rows:
    """Rows of one stage with `share` of its cells fused."""
    channels, height, width = shape
    count = round(share * height * width)
    cells = torch.randperm(height * width, generator=generator)[:count].sort().values
    n = torch.rand(count, generator=generator) * 0.9
    return Rows(cells, n, torch.randn(count, channels, generator=generator), (height, width))


def write_bank(folder: Path, images: dict[str, dict[str, Rows]], precision: Precision = "int8") -> Bank:
    """Write a bank as `select_features` does, and open it."""
    first = next(iter(images.values()))
    writer = BankWriter(folder, {stage: rows.f.shape[1] for stage, rows in first.items()}, precision)
    for image_id, stages in images.items():
        writer.add(image_id, stages)
    writer.close()
    seal(folder)
    return Bank(folder)


def make_bank(
    folder: Path, ids: Sequence[str], shapes: dict[str, tuple[int, int, int]], share: float
) -> Bank:
    """A bank with random rows of each image at `share` of the cells of every stage, (C_l, H_l, W_l) each."""
    generator = torch.Generator().manual_seed(4)
    images = {
        i: {stage: random_rows(shape, share, generator) for stage, shape in shapes.items()} for i in ids
    }
    return write_bank(folder, images)
