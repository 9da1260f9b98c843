"""Test-time augmentation (`--tta`): an image mirrored, at several scales, or with its quarters enlarged."""

import torch
import torch.nn.functional as F
import ttach
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from rws.core.stages import logits_of
from rws.predict.ways import check_tta, has_quarters
from rws.runtime.device import to_network

TTA_SCALES = (0.75, 1.0, 1.25)
# ttach's Scale truncates on the way there and back; sides that are multiples of this survive both exactly.
TTA_MULTIPLE = 4


def augmented_scores(network: nn.Module, images: Tensor, tta: str) -> Tensor:
    """Logits, or mean probabilities with augmentation.

    Shape: (1, 3, h, w) -> (1, C, h, w) on the network's device; where `has_quarters`, what `with_quarters`
        made, (5, 3, h, w) -> (1, C, 2h, 2w).
    Raises: UserError for an unknown `tta`; ValueError where the quarters are not there.
    """
    check_tta(tta)
    images = to_network(images, network)
    if tta == "none":
        return logits_of(network(images))
    if not has_quarters(tta):
        return _augmented(network, images, tta)
    if len(images) != 5:
        raise ValueError(
            f"{tta} needs what with_quarters makes of an image, 5 x 3 x h x w, not {len(images)}"
        )
    found = _whole_and_quarters(_Probabilities(network)(images))
    if tta == "quarters":
        return found
    mirrored = _Probabilities(network)(images.flip(-1)).flip(-1)
    return (found + _whole_and_quarters(mirrored)) / 2


class _Probabilities(nn.Module):
    """A network that puts out softmax probabilities, which unlike logits may be averaged."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return logits_of(self.network(images)).float().softmax(1)


def _augmented(network: nn.Module, images: Tensor, tta: str) -> Tensor:
    """Mean probabilities over the flips, and with "ms_flip" the scales, of ttach.

    Shape: (N, 3, h, w) -> (N, C, h, w).
    """
    transforms = [ttach.HorizontalFlip()]
    if tta == "ms_flip":
        transforms.append(ttach.Scale(TTA_SCALES, interpolation="bilinear", align_corners=False))
    wrapped = ttach.SegmentationTTAWrapper(_Probabilities(network), ttach.Compose(transforms), "mean")
    height, width = images.shape[-2:]
    rows, columns = (-side % TTA_MULTIPLE if tta == "ms_flip" else 0 for side in (height, width))
    top, left = rows // 2, columns // 2
    padded = F.pad(images, (left, columns - left, top, rows - top), mode="replicate")
    return wrapped(padded)[..., top : top + height, left : left + width]


def with_quarters(pixels: tv_tensors.Image, whole: Tensor, transform: v2.Transform) -> Tensor:
    """The network's input and the four quarters of its image, in reading order, as large as the whole.

    They are cut from the image at twice the input's size, so that they show what the whole lost in resizing.

    Shape: pixels (3, H, W) uint8; whole (1, 3, h, w), and `transform` leaves an image of that size as large
        as it is -> (5, 3, h, w).
    """
    height, width = whole.shape[-2:]
    large = TF.resize(pixels, [2 * height, 2 * width], antialias=True)
    corners = [(y, x) for y in (0, height) for x in (0, width)]
    parts = [transform(TF.crop(large, y, x, height, width)).as_subclass(Tensor) for y, x in corners]
    return torch.cat([whole, torch.stack(parts)])


def _whole_and_quarters(found: Tensor) -> Tensor:
    """The mean of the whole image's probabilities and of those of the quarter that holds the pixel.

    Shape: (5, C, h, w) -> (1, C, 2h, 2w).
    """
    size = [2 * side for side in found.shape[-2:]]
    whole = F.interpolate(found[:1], size, mode="bilinear", align_corners=False)
    rows = [torch.cat([found[k : k + 1], found[k + 1 : k + 2]], -1) for k in (1, 3)]
    return (whole + torch.cat(rows, -2)) / 2
