"""Images too large for one forward pass (`--slide`): windows over the image at its own resolution.

A pixel gets the mean of the softmax probabilities of all windows that hold it. The weight of a window falls
to 0 at its edges inside the image, where it sees least around a pixel, so that there are no seams. What is
held of them is one window, and of the width of the image only the rows that the next row of windows shares.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.core.windows import edge_weights
from rws.predict.inference import probabilities
from rws.predict.ways import Windows
from rws.runs.model_file import Card
from rws.runtime.bars import tracked
from rws.runtime.device import device_of


@contextmanager
def any_size(allowed: bool) -> Iterator[None]:
    """Inside the block, if `allowed`, Pillow opens images of any size, which it else takes for an attack."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None if allowed else before
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def sliding_label(
    network: nn.Module, card: Card, image: Image.Image, windows: Windows, tta: str = "none", name: str = ""
) -> np.ndarray:
    """The likeliest class of each pixel by the mean of its windows; a bar with `name` counts the windows.

    Shape: `image` in RGB -> (H, W) uint8.
    Raises: UserError for an unknown `tta`.
    """
    label = np.zeros((image.height, image.width), np.uint8)
    for y, x, mean in mean_probabilities(network, card, image, windows, tta, name):
        height, width = mean.shape[1:]
        label[y : y + height, x : x + width] = mean.argmax(0).to(torch.uint8).cpu().numpy()
    return label


@torch.inference_mode()
def mean_probabilities(
    network: nn.Module, card: Card, image: Image.Image, windows: Windows, tta: str = "none", name: str = ""
) -> Iterator[tuple[int, int, Tensor]]:
    """Blocks (y, x, probabilities) that tile the image, each yielded once no further window overlaps it.

    Of C classes and width W there are at most C x side x (W + 2 side) numbers held, and in all but the last
    row of windows C x (side - step) x W of those that grow with W.

    Shape: probabilities (C, h, w) on the network's device, the weighted mean over the windows of each pixel.
    """
    ys, xs = windows.starts(image.height), windows.starts(image.width)
    height, width = min(windows.side, image.height), min(windows.side, image.width)
    transform = card.at_own_size()
    shared = _Shared.nothing(card.classes.num_classes, image.width, device_of(network))
    many = len(ys) * len(xs)
    with tracked(total=many, desc=name, unit="window", leave=False, disable=many == 1) as bar:
        for y, next_y in zip(ys, [*ys[1:], image.height]):
            row = _Row(shared, height, width, next_y - y)
            for x, next_x in zip(xs, [*xs[1:], image.width]):
                part = tv_tensors.Image(TF.pil_to_tensor(image.crop((x, y, x + width, y + height))))
                pixels = transform(part).as_subclass(Tensor)[None]
                weights = edge_weights((y, x, height, width), (image.height, image.width))
                yield y, x, row.add(x, next_x, probabilities(network, pixels, tta)[0], weights)
                bar.update()
            shared = row.shared


@dataclass
class _Shared:
    """Sums of weighted probabilities, and of the weights, of the rows that two rows of windows share.

    Shape: total (C, r, W), weight (r, W).
    """

    total: Tensor
    weight: Tensor

    @classmethod
    def nothing(cls, classes: int, width: int, device: torch.device, rows: int = 0) -> "_Shared":
        """Zeros."""
        zeros = torch.zeros(classes + 1, rows, width, device=device)
        return cls(zeros[:-1], zeros[-1])


class _Row:
    """One row of windows, from left to right.

    finished: number of its upper rows, which the next row of windows does not reach.
    """

    def __init__(self, before: _Shared, height: int, width: int, finished: int):
        self.before, self.finished = before, finished
        classes, _, full = before.total.shape
        device = before.total.device
        self.shared = _Shared.nothing(classes, full, device, height - finished)
        # The sums under the window, and in the last plane those of the weights.
        self.sums = torch.zeros(classes + 1, height, width, device=device)
        self.start, self.known = 0, 0

    def add(self, x: int, next_x: int, scores: Tensor, weights: Tensor) -> Tensor:
        """Add the window at column x; the means of the columns before the next one's, `next_x`.

        Shape: (C, height, width), (height, width) -> (C, finished, next_x - x).
        """
        width = scores.shape[-1]
        kept = self.known - x  # columns of an earlier window that reach into this one
        if kept > 0:
            self.sums[..., :kept] = self.sums[..., x - self.start : x - self.start + kept].clone()
        self.sums[..., max(kept, 0) :] = 0
        rows = self.before.weight.shape[0]
        new = slice(max(kept, 0), width)
        self.sums[:-1, :rows, new] = self.before.total[..., self.known : x + width]
        self.sums[-1, :rows, new] = self.before.weight[..., self.known : x + width]
        weights = weights.to(scores.device)
        self.sums[:-1].addcmul_(scores, weights)
        self.sums[-1] += weights
        self.start, self.known = x, x + width
        done = self.sums[..., : next_x - x]
        self.shared.total[..., x:next_x] = done[:-1, self.finished :]
        self.shared.weight[..., x:next_x] = done[-1, self.finished :]
        return done[:-1, : self.finished] / done[-1, : self.finished]
