"""Test-time augmentation (`--ways`): an image mirrored, at several scales, or with its quarters enlarged.

The quarters are a little more than quarters, so that they overlap: the weight of each falls to 0 at its edges
inside the image, and there is no seam between them.
"""

import torch
import torch.nn.functional as F
import ttach
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from rws.core.stages import logits_of
from rws.core.windows import put_in_place
from rws.predict.ways import check_tta, has_quarters
from rws.runtime.device import to_network

TTA_SCALES = (0.75, 1.0, 1.25)
# ttach's Scale truncates on the way there and back; sides that are multiples of this survive both exactly.
TTA_MULTIPLE = 4
QUARTER = 0.55  # of the image's sides; neighbours share a tenth of the image


def augmented_scores(network: nn.Module, images: Tensor, tta: str) -> Tensor:
    """Logits, or mean probabilities with augmentation.

    Shape: (1, 3, h, w) -> (1, C, h, w) on the network's device; where `has_quarters`, what `with_quarters`
        made, (5, 3, h, w) -> (1, C, h / QUARTER, w / QUARTER).
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

    They are cut from the image at 1 / QUARTER of the input's size, so that they show what the whole lost in
    resizing.

    Shape: pixels (3, H, W) uint8; whole (1, 3, h, w), and `transform` leaves an image of that size as large
        as it is -> (5, 3, h, w).
    """
    size = tuple(whole.shape[-2:])
    large = TF.resize(pixels, list(_enlarged(size)), antialias=True)
    parts = [transform(TF.crop(large, *box)).as_subclass(Tensor) for box in _quarter_boxes(size).tolist()]
    return torch.cat([whole, torch.stack(parts)])


def _enlarged(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of an image whose quarters are of `size`."""
    return round(size[0] / QUARTER), round(size[1] / QUARTER)


def _quarter_boxes(size: tuple[int, int]) -> Tensor:
    """The quarters of `size` in the enlarged image, in reading order; shape (4, 4)."""
    height, width = _enlarged(size)
    corners = [(y, x) for y in (0, height - size[0]) for x in (0, width - size[1])]
    return torch.tensor([(y, x, *size) for y, x in corners])


def _whole_and_quarters(found: Tensor) -> Tensor:
    """The whole image's probabilities and those of its quarters in place, about half each.

    Shape: (5, C, h, w) -> (1, C, h / QUARTER, w / QUARTER).
    """
    size = tuple(found.shape[-2:])
    whole = F.interpolate(found[:1], _enlarged(size), mode="bilinear", align_corners=False)
    return put_in_place(whole[0], found[1:], _quarter_boxes(size), overwrite=True)[None]
