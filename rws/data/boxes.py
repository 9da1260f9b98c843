"""Training crops that are laid over a box of their image, such as a weak slice, instead of anywhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from rws.runtime.seeding import derive_seed

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Aim:
    """Which crops are laid over a box, and over which: `share` of those of the images that have boxes.

    boxes_yxhw: of each image that has any, in its own pixels.
    """

    boxes_yxhw: Mapping[str, Sequence[Box]]
    share: float

    def __call__(self, image_id: str, seed: int) -> Box | None:
        """The box for a crop of an image, or None; the same for the same seed."""
        boxes = self.boxes_yxhw.get(image_id)
        generator = torch.Generator().manual_seed(derive_seed(seed, "aim"))
        aimed = torch.rand((), generator=generator) < self.share
        if not boxes or not aimed:
            return None
        return boxes[int(torch.randint(len(boxes), (), generator=generator))]


def as_target(box_yxhw: Box, image: tv_tensors.Image) -> tv_tensors.BoundingBoxes:
    """A box that moves with its image through a transform and tells `AimedCrop` where to cut."""
    y, x, h, w = box_yxhw
    return tv_tensors.BoundingBoxes(
        [[x, y, x + w, y + h]], format="XYXY", canvas_size=tuple(image.shape[-2:]), dtype=torch.float32
    )


class AimedCrop(v2.RandomCrop):
    """RandomCrop that is laid over the bounding box among its inputs; without one it is RandomCrop.

    Along each axis the crop holds the box, or lies inside it where the box is longer, as far as the image
    allows; among the places for which that is true it lies where RandomCrop would lie among all.
    """

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """As RandomCrop's, called by torchvision with the tensors of one sample."""
        params = super().make_params(flat_inputs)
        target = next((t for t in flat_inputs if isinstance(t, tv_tensors.BoundingBoxes)), None)
        if target is None or not params["needs_crop"]:
            return params
        x0, y0, x1, y1 = target[0].tolist()
        left, top, right, bottom = params["padding"] if params["needs_pad"] else (0, 0, 0, 0)
        height, width = TF.get_size(target)
        place = {
            "top": _over(y0 + top, y1 + top, params["top"], params["height"], height + top + bottom),
            "left": _over(x0 + left, x1 + left, params["left"], params["width"], width + left + right),
        }
        return {**params, **place}


def _over(start: float, end: float, drawn: int, side: int, length: int) -> int:
    """Where a crop of `side` pixels begins on an axis of `length`; `drawn` is its place without a box."""
    most = length - side
    if most <= 0:
        return drawn
    low, high = sorted(min(max(round(place), 0), most) for place in (start, end - side))
    return low + round(drawn / most * (high - low))
