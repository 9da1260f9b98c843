"""RWS at test time (`--ways rws`): windows over what the network is unsure of, seen enlarged, put in place.

A window is believed as far as the whole image is unsure: in each pixel its share is the whole's uncertainty.
Where there is a background it says where objects are, and together with the whole image of which class.
Where there is none, as on streets, the whole image itself is seen enlarged, for as many passes as two or more
windows would take, and both views count half: on CamVid that gains more.

The first pass sees the whole image, the windows are seen in one batch. Where the frame before has chosen the
windows of a film's frame, whole and windows are one batch. There is no backward pass and no stage is needed,
so any network will do; windows chosen by attention alone need both.
"""

import zlib
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.config.look_again import LookAgain
from rws.core.advantage import missing_weights
from rws.core.cam import most_classes
from rws.core.labels import class_probabilities, likeliest, resized_scores
from rws.core.stages import logits_of
from rws.core.windows import (
    candidate_windows,
    choose_windows,
    classes_of_both,
    finer_grid,
    on_grid,
    put_in_place,
    sides_that_show_more,
    uncertainty,
    whole_enlarged,
)
from rws.method.cams import CamNetwork
from rws.method.whole_input import whole_input
from rws.models.same_size import nearest_size, size_multiple
from rws.runs.model_file import Card
from rws.runtime.device import to_network
from rws.runtime.seeding import derive_seed

Choice = Callable[[Tensor], Tensor]
REMEMBERED = 10_000  # images whose windows a budget compares, so that a camera may never end
HALF = 0.5  # the share of the whole enlarged, which lacks nothing of what lies around


class PassBudget:
    """Shares forward passes out among the images of a folder or a film: `passes` an image on the average.

    A window is taken only while it is worth more than those of other images so far: of n images the windows
    of the n (passes - 1) largest worths. At no time have more been taken than the average allows. Of more
    images than REMEMBERED the last ones are compared.
    """

    def __init__(self, options: LookAgain):
        self.windows, self.most = options.passes - 1, options.most_passes - 1
        self.images = self.taken = 0
        self._last: deque[list[float]] = deque()
        self._rising: list[float] = []  # all of `_last`

    def take(self, worths: list[float]) -> int:
        """How many of an image's windows, of falling worth, are taken."""
        self.images += 1
        self._remember(worths)
        allowed = int(self.windows * self.images + 1e-9)
        if not allowed:
            return 0
        rank = max(1, int(self.windows * len(self._last) + 1e-9))
        least = self._rising[-min(rank, len(self._rising))]
        count = min(sum(worth >= least for worth in worths), self.most, allowed - self.taken)
        self.taken += count
        return count

    def _remember(self, worths: list[float]) -> None:
        self._last.append(worths)
        for worth in worths:
            insort(self._rising, worth)
        if len(self._last) > REMEMBERED:
            for worth in self._last.popleft():
                del self._rising[bisect_left(self._rising, worth)]


@dataclass(frozen=True)
class FirstLook:
    """What a network saw of the whole image.

    whole: (1, C, h, w) probabilities. wanted: (h, w), what a window is worth holding. backward: backward
    passes.
    """

    whole: Tensor
    wanted: Tensor
    backward: int = 0


@dataclass(frozen=True)
class SeenAgain:
    """What a network saw of one image: the whole, and windows enlarged.

    whole: (1, C, h, w) probabilities. slices: (K, C, h, w), or (1, C, h', w') of the whole enlarged.
    places_yxhw: (K, 4), where they lie in an image of the size `grid`. unsure: (h, w), what windows are worth
    holding. size: (H, W) of the image. backward: backward passes. share: how far slices are believed, None
    for as far as the whole is unsure.
    """

    whole: Tensor
    slices: Tensor
    places_yxhw: Tensor
    grid: tuple[int, int]
    unsure: Tensor
    size: tuple[int, int]
    backward: int = 0
    share: float | None = None

    @property
    def boxes_yxhw(self) -> Tensor:
        """The windows in the image's own pixels; shape (K, 4)."""
        return on_grid(self.places_yxhw, self.grid, self.size)

    @property
    def larger(self) -> bool:
        """Whether the whole was seen enlarged, in place of windows."""
        return self.share is not None

    @property
    def passes(self) -> float:
        """Forward passes at the size of the network's input; the whole enlarged counts by its pixels."""
        return 1 + self.slices[:, 0].numel() / self.whole[0, 0].numel()

    @property
    def units(self) -> float:
        """What it cost in forward passes; a backward pass counts as one.

        From the logits to the first stage it takes as many multiplications, for no weight gets a gradient.
        """
        return self.passes + self.backward

    def probabilities(self) -> Tensor:
        """Probabilities at the image's own size.

        Shape: (C, H, W).
        """
        return resized_scores(self._in_place(), self.size)[0]

    def label(self) -> np.ndarray:
        """The likeliest class of each pixel.

        Shape: (H, W) uint8.
        """
        return likeliest(self._in_place(), self.size).cpu().numpy()

    def _in_place(self) -> Tensor:
        """The whole and its slices together; shape (1, C, h, w), of the grid's size if there are slices."""
        if not len(self.slices):
            return self.whole
        # One by one, and onto what was made here: at full size each is as large as all that the network saw.
        parts = (
            resized_scores(s, (h, w))
            for s, (_, _, h, w) in zip(self.slices.split(1), self.places_yxhw.tolist())
        )
        whole = resized_scores(self.whole, self.grid)
        share = self.share
        if share is None:
            # Where the whole is sure a part of it, which lacks what lies around, would only add errors.
            share = resized_scores(uncertainty(self.whole[0])[None, None], self.grid)[0, 0]
        return put_in_place(whole, parts, self.places_yxhw, share=share, overwrite=whole is not self.whole)


Look = Callable[..., SeenAgain]  # of a network, its card, an image, and `images` as `look_again`


def look_at_images(options: LookAgain) -> Look:
    """Looks again at one image after the other; the passes are shared out among all of them."""
    return partial(look_again, options=options, budget=PassBudget(options))


@torch.inference_mode()
def look_again(
    network: nn.Module,
    card: Card,
    image: Image.Image,
    options: LookAgain,
    budget: PassBudget | None = None,
    choice: Choice | None = None,
    before: Tensor | None = None,
    images: Tensor | None = None,
) -> SeenAgain:
    """See an image in RGB as a whole and, enlarged, the windows that are worth it most.

    `budget` says how many; without one it is one of this image alone. `choice`, in place of that of the
    options, makes the map (h, w) by which they are chosen of the whole image's probabilities (C, h, w).
    `before` is such a map already, of the frame before: whole and windows are then seen in one batch.
    `images` is the `whole_input`, where that is made already.

    Raises: UserError for an image that is far longer than wide.
    """
    images = whole_input(card, image) if images is None else images
    scene = card.classes.background is None and choice is None and options.whole_in_scenes
    multiple = size_multiple(network) if scene else None
    options = replace(options, choose="uncertainty") if choice else options
    windows = partial(_windows, image, options, budget or PassBudget(options), multiple)
    size, own = (image.height, image.width), tuple(images.shape[-2:])
    found = windows(before) if before is not None and before.shape == own else None
    if found and found.seen == own:
        seen = _probabilities(network, torch.cat([images, *_enlarged(card, image, found, size)]))
        first, slices = FirstLook(seen[:1], uncertainty(seen[0])), seen[1:]
    else:
        if options.choose == "attention":
            first = _attentive(network, card, images)
        else:
            first = _plain(network, images, choice or uncertainty)
        found = found or windows(first.wanted)
        parts = _enlarged(card, image, found, size)
        slices = _probabilities(network, torch.cat(parts)) if parts else first.whole[:0]
    _give_the_whole_a_say(slices, first.whole, found.inside, card.classes.background)
    looked = first.whole, slices, found.places, found.grid, first.wanted, size, first.backward
    return SeenAgain(*looked, found.share)


@dataclass(frozen=True)
class _Windows:
    """Windows that are taken: in the pixels of the network's input, and in an image of the size `grid`.

    seen: height and width at which the network sees each. share: as that of `SeenAgain`.

    Shape: (K, 4) each.
    """

    inside: Tensor
    places: Tensor
    grid: tuple[int, int]
    seen: tuple[int, int]
    share: float | None = None


def _windows(
    image: Image.Image, options: LookAgain, budget: PassBudget, multiple: int | None, wanted: Tensor
) -> _Windows:
    """The windows that are taken of what `wanted` says, of the network's input's size.

    With `multiple` the whole takes the place of several of them, its sides multiples of that.
    """
    size, most = tuple(wanted.shape), (image.height, image.width)
    sides = sides_that_show_more(options.sides, min(image.size), min(size))
    candidates = candidate_windows(*size, sides)
    chosen, worth = choose_windows(wanted, candidates, options.most_passes - 1)
    if options.choose == "random":
        chosen = _random(image, candidates[:, 2:].tolist(), chosen)
    if options.choose == "random" or multiple:
        worth = [1.0] * len(chosen)  # every image gets as many
    inside = candidates[chosen[: budget.take(worth)]]
    if multiple and len(inside) > 1 and (large := whole_enlarged(size, most, len(inside))):
        whole, grid = torch.tensor([[0, 0, *size]]), large if max(large) <= max(most) else most
        return _Windows(whole, on_grid(whole, size, grid), grid, nearest_size(large, multiple), HALF)
    finest = (inside if len(inside) else candidates)[:, 2:].amin(0)
    grid = finer_grid(size, tuple(finest.tolist()), most)
    return _Windows(inside, on_grid(inside, size, grid), grid, size)


def _plain(network: nn.Module, images: Tensor, choice: Choice) -> FirstLook:
    whole = _probabilities(network, images)
    return FirstLook(whole, choice(whole[0]))


def _attentive(network: nn.Module, card: Card, images: Tensor) -> FirstLook:
    """Wanted is what the last stage misses of each pixel's predicted class; a backward pass a class."""
    foreground = card.classes.foreground
    found = CamNetwork(network, card.stages, card.classes).maps(images, tuple(images.shape[-2:]))
    missing = missing_weights(found.maps[0])[-1]
    return FirstLook(class_probabilities(found.logits), missing, most_classes(found.labels, foreground))


def _random(image: Image.Image, sides: Sequence[list[int]], chosen: Sequence[int]) -> list[int]:
    """For each chosen window one of its size by chance, for an image always the same: the control."""
    seed = derive_seed(0, "random windows", zlib.crc32(image.tobytes()))
    order = torch.randperm(len(sides), generator=torch.Generator().manual_seed(seed)).tolist()
    taken: list[int] = []
    for k in chosen:
        taken.append(next(j for j in order if sides[j] == sides[k] and j not in taken))
    return taken


def _probabilities(network: nn.Module, images: Tensor) -> Tensor:
    return class_probabilities(logits_of(network(to_network(images, network))))


def _enlarged(card: Card, image: Image.Image, windows: _Windows, size: tuple[int, int]) -> list[Tensor]:
    """Windows of an image of (H, W) `size` as the network sees them; (1, 3, h, w) each."""
    transform = card.at_own_size()
    boxes = on_grid(windows.places, windows.grid, size).tolist()
    crops = (image.crop((x, y, x + w, y + h)) for y, x, h, w in boxes)
    pixels = (tv_tensors.Image(TF.pil_to_tensor(crop)) for crop in crops)
    parts = (TF.resize(each, list(windows.seen), antialias=True) for each in pixels)
    return [transform(part).as_subclass(Tensor)[None] for part in parts]


def _give_the_whole_a_say(slices: Tensor, whole: Tensor, boxes: Tensor, background: int | None) -> None:
    """Changes which classes the slices see, one by one: all together would take their memory again."""
    if background is None:
        return
    size = tuple(whole.shape[-2:])
    for own, (y, x, h, w) in zip(slices.split(1), boxes.tolist()):
        part = resized_scores(whole[..., y : y + h, x : x + w], size)
        own.copy_(classes_of_both(own, part, background))
