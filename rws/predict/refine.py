"""RWS at test time (`--refine`): the weak slices of a photograph, by the network's own prediction, refine it.

The network sees the whole image and some enlarged slices of it, and then the whole image again with the
slices' better features blended in, as in training. No label and no second network are needed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.config import SliceConfig
from rws.core.advantage import BestSlices
from rws.core.cam import StageMaps
from rws.core.fusion import Blend, fused
from rws.core.labels import likeliest
from rws.core.slices import weak_slices
from rws.core.stages import evaluating, logits_of
from rws.method.cams import CamNetwork
from rws.method.score import windows_of
from rws.predict.inference import network_input, shown_to
from rws.runs.model_file import Card
from rws.runtime.device import to_network

# Windows and threshold of `--refine`: chosen on the validation list of VOC cat, four slices so that an image
# takes as many forward passes as `--tta ms_flip`.
SLICES = SliceConfig(step=0.25, attention_min=0.2, most_per_image=4)


@dataclass(frozen=True)
class Refined:
    """Probabilities of one image, (C, H, W) each, at its own size or as large as its slices need it.

    plain: of the whole image.
    fused: of the whole image with the slices' features blended in; `plain` where no slice is weak.
    zoomed: the slices' own, in place, a mean where they overlap and 0 where there is none.
    covered: (H, W) how many slices hold a pixel.
    boxes: (K, 4) the slices.
    passes: forward passes that these took.
    """

    plain: Tensor
    fused: Tensor
    zoomed: Tensor
    covered: Tensor
    boxes_yxhw: Tensor
    passes: int

    @property
    def zoom_mean(self) -> Tensor:
        """Plain averaging over zooms: the mean of `plain` and each slice that holds the pixel."""
        return (self.plain + self.zoomed * self.covered) / (1 + self.covered)

    @property
    def mean(self) -> Tensor:
        """The mean of `plain`, `fused` and each slice that holds the pixel."""
        return (self.plain + self.fused + self.zoomed * self.covered) / (2 + self.covered)


def refine(scored: CamNetwork, card: Card, image: Image.Image, config: SliceConfig = SLICES) -> Refined:
    """Predict an image in RGB plainly, by its weak slices, and fused with them.

    The slices are those that `config` would choose in training, with the network's prediction for a label;
    an image costs as many forward passes as it has slices and two more, and a backward pass a predicted class
    for each but the last. Without a weak slice it costs one.

    Raises: UserError for an image that is far longer than wide.
    """
    whole = network_input(card, image)
    image = _as_large_as_needed(image, card.base_size, config.size)
    size = (image.height, image.width)
    found = scored.maps(whole, size)
    plain = _probabilities(found.logits, size)[0]
    boxes = _weak_boxes(scored, found, config)
    if not len(boxes):
        nothing = torch.zeros_like(plain)
        return Refined(plain, plain, nothing, nothing[0], boxes, passes=1)
    slices = _slices(card, image, boxes, whole.shape[-2:])
    part_size = tuple(boxes[0, 2:].tolist())
    own = scored.maps(slices, part_size)
    blends = _blends(scored, found, own, boxes)
    with evaluating(scored.network), torch.inference_mode(), fused(scored.stages, blends):
        logits = logits_of(scored.network(to_network(whole, scored.network)))
    zoomed, covered = _in_place(_probabilities(own.logits, part_size), boxes, size)
    return Refined(plain, _probabilities(logits, size)[0], zoomed, covered, boxes, passes=2 + len(boxes))


def refined_label(network: nn.Module, card: Card, image: Image.Image) -> np.ndarray:
    """The likeliest class of each pixel by the mean of `refine`.

    Shape: (H, W) uint8, the size of the displayed image.
    """
    image = shown_to(card, image)
    found = refine(CamNetwork(network, card.stages, card.classes), card, image)
    return likeliest(found.mean[None], (image.height, image.width)).cpu().numpy()


def _as_large_as_needed(image: Image.Image, base_size: int, slice_size: float) -> Image.Image:
    """The image at the resolution at which its slices fill the network's input, or at its own if smaller."""
    most = math.ceil(base_size / slice_size)
    return image if min(image.size) <= most else TF.resize(image, most, antialias=True)


def _probabilities(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Shape: (N, C, h, w) -> (N, C, H, W) for `size` = (H, W)."""
    return F.interpolate(logits.float(), size, mode="bilinear", align_corners=False).softmax(1)


def _weak_boxes(scored: CamNetwork, found: StageMaps, config: SliceConfig) -> Tensor:
    """The weak slices of the one image of a batch; shape (K, 4), on the host."""
    label, A = found.labels[0], found.maps[0]
    boxes = windows_of(config, *label.shape)
    iou = scored.window_iou(A[-1], label, boxes, config)
    return boxes[weak_slices(iou, config.iou_weak_max, config.most_per_image)]


def _slices(card: Card, image: Image.Image, boxes: Tensor, size: torch.Size) -> Tensor:
    """The parts of the image in (K, 4) boxes at the size of the network's input; shape (K, 3, h, w)."""
    pixels, transform = tv_tensors.Image(TF.pil_to_tensor(image)), card.transform()
    parts = (TF.resize(TF.crop(pixels, *box), list(size), antialias=True) for box in boxes.tolist())
    return torch.stack([transform(part).as_subclass(Tensor) for part in parts])


def _blends(scored: CamNetwork, whole: StageMaps, slices: StageMaps, boxes: Tensor) -> dict[str, Blend]:
    """What the best slice of each cell adds to every stage of the whole image."""
    best = BestSlices(whole.maps[0], [tuple(f.shape[1:]) for f in whole.features])
    best.update(slices.maps, boxes, slices.features)
    return {name: _blend(best, stage) for stage, name in enumerate(scored.stage_names)}


def _blend(best: BestSlices, stage: int) -> Blend:
    cells, n, f = best.rows(stage)
    grid = best.shapes[stage]
    added = f.new_zeros(grid[0] * grid[1], f.shape[1]).index_copy(0, cells, (1 - n)[:, None] * f)
    return Blend(best.n[stage][None, None], added.T.reshape(1, -1, *grid))


def _in_place(parts: Sequence[Tensor], boxes: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The mean of the parts at each pixel, and how many there are.

    Shape: K parts (C, h, w) that fill boxes (K, 4) -> (C, H, W), (H, W) for `size` = (H, W).
    """
    total, count = parts[0].new_zeros(len(parts[0]), *size), parts[0].new_zeros(size)
    for part, (y, x, h, w) in zip(parts, boxes.tolist()):
        total[:, y : y + h, x : x + w] += part
        count[y : y + h, x : x + w] += 1
    return total / count.clamp_min(1), count
