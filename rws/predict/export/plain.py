"""The network that is exported, and what its file says of it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rws.core.stages import logits_of
from rws.models.same_size import size_multiple
from rws.runs.model_file import Card

INPUT, OUTPUT = "images", "logits"


class PlainNetwork(nn.Module):
    """From RGB in [0, 1] to logits: the normalisation is inside, the auxiliary head is not.

    Shape: (N, 3, H, W) -> (N, C, H, W).
    """

    def __init__(self, network: nn.Module, card: Card) -> None:
        super().__init__()
        if getattr(network, "aux_classifier", None) is not None:
            network.aux_classifier = None
        self.network = network
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) for each in _statistics(card))
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.eval().cpu().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        return logits_of(self.network((images - self.mean) / self.std))


def _statistics(card: Card) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(card.normalisation.mean), tuple(card.normalisation.std)


@contextmanager
def constant_padding(plain: PlainNetwork) -> Iterator[None]:
    """Inside the block timm's convolutions that pad by the image's size pad by a constant.

    In a network whose images are resized to multiples of its stride the padding is always the same. Without
    this torch carries its formula through all layers after it, and does not end within many minutes.
    """
    kind = getattr(sys.modules.get("timm.layers"), "Conv2dSame", None)
    resized = size_multiple(plain.network) > 1
    found = [m for m in plain.modules() if isinstance(m, kind)] if kind and resized else []
    for module in found:
        module.forward = partial(_padded, module)
    try:
        yield
    finally:
        for module in found:
            del module.forward


def _padded(conv: nn.Conv2d, maps: Tensor) -> Tensor:
    """A convolution with the padding of maps whose sides its stride divides."""
    sides = zip(conv.kernel_size, conv.dilation, conv.stride)
    rows, columns = (max((kernel - 1) * dilation + 1 - stride, 0) for kernel, dilation, stride in sides)
    maps = F.pad(maps, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
    return F.conv2d(maps, conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups)


def metadata(card: Card, shape: tuple[int | str, ...]) -> dict[str, str]:
    """What a program must know to use the file; each value is JSON.

    `shape` is that of the input, with a name where any number will do.
    """
    mean, std = _statistics(card)
    described = {
        "network": card.network,
        "class_names": card.classes.names,
        "palette": card.classes.palette,
        "background": card.classes.background,
        "ignore_index": card.classes.ignore_index,
        "input": f"{INPUT}: float32 RGB in [0, 1] (8-bit levels / 255), NCHW, not normalised",
        "input_shape": shape,
        "output": f"{OUTPUT}: float32 (N, classes, H, W) at the input's size; class = argmax over axis 1",
        "mean": mean,
        "std": std,
        "normalisation": "inside the network: (images - mean) / std",
        "base_size": card.base_size,
        "base_size_means": "short side in pixels of the images that the network was evaluated on",
    }
    return {key: json.dumps(value) for key, value in described.items()}
