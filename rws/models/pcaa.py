"""PCAA: attention of pixels to the centres of classes within bins of the image, on a dilated ResNet.

Source: S.-A. Liu et al., "Partial Class Activation Attention for Semantic Segmentation", CVPR 2022. The focal
loss is that of T.-Y. Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, without balance.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import ResNet50_Weights, ResNet101_Weights
from torchvision.models import segmentation as tv
from torchvision.models.segmentation.fcn import FCNHead
from torchvision.ops import sigmoid_focal_loss

from rws.models.family import Family
from rws.models.torchvision_networks import RESNET_STAGES
from rws.runtime.distributed import summed

BINS = (4, 4)  # rows and columns, as on Cityscapes
STRIDE = 8  # of the dilated ResNet
BACKBONE_CHANNELS, AUX_CHANNELS, HEAD_CHANNELS = 2048, 1024, 512
FOCUS = 2.0  # gamma of the focal loss
CLASS_LOSS = 1.0  # weight of the loss on the bins' classes; the auxiliary head's, 0.4, is train.aux_loss
SHARE_MIN = 0.01  # a class that covers less of a bin, but is there, is asked for neither way


class BinGraph(nn.Module):
    """Lets the class centres of all bins see each other, then mixes their channels.

    Shape: (N, B, K, C) -> (N, B, K, C).
    """

    def __init__(self, bins: int, channels: int) -> None:
        super().__init__()
        self.among_bins = nn.Conv2d(bins, bins, 1, bias=False)
        self.among_channels = nn.Linear(channels, channels, bias=False)

    def forward(self, centres: Tensor) -> Tensor:
        return self.among_channels((self.among_bins(centres) + centres).relu())


class PartialAttention(nn.Module):
    """Adds to each pixel the global class centres, by its likeness to the local ones of its own bin.

    Shape: (N, C, H, W) -> (N, C, H, W), and the logits of each class in each bin (N, K, bh, bw). Sizes that
    the bins do not divide are padded below and to the right; no padded pixel counts anywhere.
    """

    def __init__(self, channels: int, num_classes: int, bins: tuple[int, int] = BINS) -> None:
        super().__init__()
        self.bins, number, inner = bins, bins[0] * bins[1], channels // 2
        self.dropout = nn.Dropout2d(0.1)
        self.class_map = nn.Conv2d(channels, num_classes, 1)
        self.graph = BinGraph(number, channels)
        self.over_bins = nn.Conv2d(number, 1, 1)
        self.query, self.key, self.value = (nn.Linear(channels, inner) for _ in range(3))
        self.restore = nn.Sequential(
            nn.Conv2d(inner, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        size = x.shape[-2:]
        maps = into_bins(self.class_map(self.dropout(x)), self.bins)  # (N, B, P, K)
        pixels = into_bins(x, self.bins)  # (N, B, P, C)
        inside = into_bins(x.new_ones(1, 1, *size), self.bins)  # (1, B, P, 1)
        count = inside.sum(2)  # (1, B, 1)
        logits = (maps * inside).sum(2) / count.clamp_min(1)  # (N, B, K)
        local = self.graph(self._centres(maps, pixels, inside) * logits.sigmoid()[..., None])
        overall = self.over_bins(local).relu()  # (N, 1, K, C)
        likeness = self.query(pixels) @ self.key(local).mT  # (N, B, P, K)
        attended = likeness.softmax(-1) @ self.value(overall)  # (N, B, P, C / 2)
        logits = logits.mT.unflatten(2, self.bins)
        return x + self.restore(out_of_bins(attended, self.bins, size)), logits

    @staticmethod
    def _centres(maps: Tensor, pixels: Tensor, inside: Tensor) -> Tensor:
        """The centre of each class in each bin: its pixels, weighted by a softmax of the class's map.

        Shape: (N, B, P, K), (N, B, P, C), (1, B, P, 1) -> (N, B, K, C); 0 in a bin that is all padding.
        """
        lowest = torch.finfo(maps.dtype).min
        share = maps.masked_fill(inside == 0, lowest).softmax(2) * inside
        return share.mT @ pixels


def bin_sides(size: tuple[int, int], bins: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of a bin, rounded up where the bins do not divide the size."""
    return tuple(-(-side // number) for side, number in zip(size, bins))


def into_bins(x: Tensor, bins: tuple[int, int]) -> Tensor:
    """The pixels of each bin, padded with 0.

    Shape: (N, C, H, W) -> (N, B, P, C) for B bins of P pixels, both in row-major order.
    """
    rows, cols = bin_sides(x.shape[-2:], bins)
    x = F.pad(x, (0, cols * bins[1] - x.shape[-1], 0, rows * bins[0] - x.shape[-2]))
    x = x.unflatten(3, (bins[1], cols)).unflatten(2, (bins[0], rows))  # (N, C, bh, rows, bw, cols)
    return x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)


def out_of_bins(x: Tensor, bins: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The inverse of `into_bins`.

    Shape: (N, B, P, C) -> (N, C, H, W) for `size` = (H, W).
    """
    rows, cols = bin_sides(size, bins)
    x = x.unflatten(2, (rows, cols)).unflatten(1, bins)  # (N, bh, bw, rows, cols, C)
    x = x.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
    return x[..., : size[0], : size[1]]


def _conv(before: int, after: int) -> nn.Sequential:
    conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class PCAAHead(nn.Module):
    """From the backbone's features to logits, and to the logits of each class in each bin.

    Shape: (N, C, H, W) -> (N, K, H, W), (N, K, bh, bw).
    """

    def __init__(
        self, before: int, num_classes: int, bins: tuple[int, int] = BINS, channels: int = HEAD_CHANNELS
    ) -> None:
        super().__init__()
        self.reduce = _conv(before, channels)
        self.attention = PartialAttention(channels, num_classes, bins)
        self.refine = _conv(channels, channels)
        self.mix = _conv(before + channels, channels)
        self.classify = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        attended, bins = self.attention(self.reduce(x))
        mixed = self.mix(torch.cat([self.refine(attended), x], 1))
        return self.classify(mixed), bins


class PCAA(nn.Module):
    """PCAA on torchvision's dilated ResNet.

    Shape: (N, 3, H, W) -> {"out": (N, K, H, W), "bins": (N, K, bh, bw) logits of each class in each bin}, and
        "aux" as "out" with an auxiliary head.
    """

    def __init__(
        self, backbone: nn.Module, num_classes: int, aux: bool, bins: tuple[int, int] = BINS
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = PCAAHead(BACKBONE_CHANNELS, num_classes, bins)
        self.aux_classifier = FCNHead(AUX_CHANNELS, num_classes) if aux else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        logits, bins = self.classifier(features["out"])
        heads = {"out": logits}
        if self.aux_classifier is not None:
            heads["aux"] = self.aux_classifier(features["aux"])
        size = images.shape[-2:]
        heads = {k: F.interpolate(v, size, mode="bilinear", align_corners=False) for k, v in heads.items()}
        return heads | {"bins": bins}

    def own_loss(self, output: dict[str, Tensor], labels: Tensor, ignore_index: int) -> Tensor:
        """CLASS_LOSS times the focal loss on which classes are in each bin; added by `optimization.loss_of`.

        Shape: labels (N, H, W) of the size of the images.
        """
        logits = output["bins"].float()
        wanted = bin_labels(labels, logits.shape[1], tuple(logits.shape[-2:]), ignore_index)
        return CLASS_LOSS * class_loss(logits, wanted)


def bin_labels(labels: Tensor, num_classes: int, bins: tuple[int, int], ignore_index: int) -> Tensor:
    """Whether each class is in each bin: 1 or 0, and -1 where it is not to be asked.

    That is where a class covers less than SHARE_MIN of the bin, and where the bin has no labelled pixel.

    Shape: (N, H, W) integer -> (N, K, bh, bw) float.
    """
    places = [_bin_of(side, number, labels.device) for side, number in zip(labels.shape[1:], bins)]
    here = places[0][:, None] * bins[1] + places[1]  # (H, W), the bin of each pixel
    number = bins[0] * bins[1]
    known = (labels != ignore_index) & (labels >= 0) & (labels < num_classes)
    column = torch.where(known, labels, num_classes)  # what is no class has a column of its own
    flat = (here * (num_classes + 1) + column).flatten(1)
    counts = labels.new_zeros(len(labels), number * (num_classes + 1), dtype=torch.float32)
    counts = counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    counts = counts.unflatten(1, (number, num_classes + 1))
    share = counts / counts.sum(2, keepdim=True).clamp_min(1)
    share, labelled = share[..., :-1], counts[..., :-1].sum(2, keepdim=True) > 0
    unsure = ((share > 0) & (share < SHARE_MIN)) | ~labelled
    wanted = torch.where(unsure, -1.0, (share > 0).float())  # (N, B, K)
    return wanted.mT.unflatten(2, bins)


def _bin_of(side: int, bins: int, device: torch.device) -> Tensor:
    """The bin of each row (or column) of an image, by the cell of the feature map that it falls into.

    Shape: (side,) int64.
    """
    cells = -(-side // STRIDE)
    return (torch.arange(side, device=device) * cells // side) // -(-cells // bins)


def class_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Focal loss of each class over the bins in which it is asked for, a mean over the classes.

    Of several processes each has a part of the bins: the sum of their losses is that of all of them.

    Shape: two (N, K, bh, bw), `wanted` in 1, 0 and -1 -> scalar.
    """
    asked = wanted >= 0
    loss = sigmoid_focal_loss(logits, wanted.clamp_min(0), alpha=-1, gamma=FOCUS) * asked
    count = summed(asked.sum((0, 2, 3))).clamp_min(1)
    return (loss.sum((0, 2, 3)) / count).mean()


def _build(resnet: Callable[..., nn.Module], num_classes: int, aux: bool) -> PCAA:
    # The backbone of torchvision's FCN: strides 4, 8 and then dilation, with the features of both heads.
    backbone = resnet(weights=None, weights_backbone=None, num_classes=1, aux_loss=aux).backbone
    return PCAA(backbone, num_classes, aux)


def _family(resnet: Callable[..., nn.Module], weights_file: str, url: str) -> Family:
    return Family(
        partial(_build, resnet),
        RESNET_STAGES,
        weights_file=weights_file,
        download=url,
        key_prefix="backbone.",
    )


FAMILIES = {
    "pcaa_resnet50": _family(tv.fcn_resnet50, "resnet50_imagenet.pth", ResNet50_Weights.IMAGENET1K_V1.url),
    "pcaa_resnet101": _family(
        tv.fcn_resnet101, "resnet101_imagenet.pth", ResNet101_Weights.IMAGENET1K_V1.url
    ),
}
