"""Sliding windows against one plain sum over all windows of a whole image."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rws.data.classes import DEMO, ClassSet, voc_colour
from rws.models import FAMILIES
from rws.predict import sliding
from rws.predict.inference import predict_label
from rws.predict.sliding import mean_probabilities, sliding_label
from rws.predict.ways import Windows
from rws.runs.model_file import Card


class Colours(nn.Module):
    """Logits that depend on a pixel's neighbourhood, so that windows differ where they are cut."""

    def __init__(self, classes: int):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, classes, 7, padding=3)
        self.wide = nn.Conv2d(3, classes, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        return {"out": 4 * self.conv(images) + self.wide(images.mean((2, 3), keepdim=True))}


def card(classes: ClassSet = DEMO, base_size: int = 64) -> Card:
    return Card("deeplabv3_resnet50", True, FAMILIES["deeplabv3_resnet50"].stages, classes, base_size)


def photo(height: int, width: int) -> Image.Image:
    noise = np.random.default_rng(height).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def plainly(network: nn.Module, image: Image.Image, side: int, step: int, tta: str) -> Tensor:
    """Every window into one sum over the whole image, and its weights into another."""
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = (pixels - mean) / std
    total, weight = torch.zeros(6, image.height, image.width), torch.zeros(image.height, image.width)
    tops = sorted({min(y, max(image.height - side, 0)) for y in range(0, image.height, step)})
    lefts = sorted({min(x, max(image.width - side, 0)) for x in range(0, image.width, step)})
    for y in tops:
        for x in lefts:
            part = pixels[..., y : y + side, x : x + side]
            with torch.no_grad():
                found = network(part)["out"].softmax(1)
                if tta == "flip":
                    found = (found + network(part.flip(3))["out"].flip(3).softmax(1)) / 2
            own = falling(y, part.shape[2], image.height)[:, None] * falling(x, part.shape[3], image.width)
            total[:, y : y + side, x : x + side] += own * found[0]
            weight[y : y + side, x : x + side] += own
    assert weight.min() > 0
    return total / weight


def falling(start: int, length: int, whole: int) -> Tensor:
    """Weights along a window: over a fifth of it they fall to 0 at an end inside the image."""
    weights = torch.ones(length)
    for place in range(length):
        for inside, distance in ((start > 0, place), (start + length < whole, length - 1 - place)):
            if inside:
                weights[place] = min(float(weights[place]), (distance + 0.5) / (0.2 * length))
    return weights


CASES = [
    (97, 131, 40, 26),
    (131, 97, 40, 40),  # without overlap, but at the edges
    (97, 131, 48, 7),  # a pixel lies in up to 49 windows
    (40, 131, 40, 13),  # one row
    (33, 20, 40, 26),  # smaller than a window
    (120, 39, 40, 20),  # narrower than one
    (41, 41, 40, 40),
]


@pytest.mark.parametrize("tta", ["none", "flip"])
@pytest.mark.parametrize(("height", "width", "side", "step"), CASES)
def test_mean_of_all_windows(height, width, side, step, tta):
    network, image = Colours(6).eval(), photo(height, width)
    want = plainly(network, image, side, step, tta)
    got, seen = torch.full_like(want, -1), torch.zeros(height, width, dtype=torch.int)
    for y, x, mean in mean_probabilities(network, card(), image, Windows(side, step), tta):
        got[:, y : y + mean.shape[1], x : x + mean.shape[2]] = mean
        seen[y : y + mean.shape[1], x : x + mean.shape[2]] += 1
    assert (seen == 1).all(), "the blocks tile the image"
    torch.testing.assert_close(got, want, atol=1e-5, rtol=0)
    label = sliding_label(network, card(), image, Windows(side, step), tta)
    assert label.dtype == np.uint8
    assert np.array_equal(label, got.argmax(0).numpy())


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_one_window_over_all_of_it_is_the_whole_prediction(tta):
    network, image = Colours(6).eval(), photo(64, 90)
    whole = predict_label(network, card(base_size=64), image, tta)
    assert len(np.unique(whole)) > 2
    assert np.array_equal(sliding_label(network, card(), image, Windows(90, 60), tta), whole)


@pytest.mark.parametrize("length", [1, 39, 40, 41, 66, 67, 400])
def test_starts(length):
    starts = Windows(40, 26).starts(length)
    assert starts[0] == 0
    assert starts[-1] == max(0, length - 40), "the last ends at the edge"
    assert all(0 < b - a <= 26 for a, b in pairwise(starts))


def test_memory_is_that_of_a_band_of_rows(monkeypatch):
    """The largest tensor for a tall image with many classes."""
    many = ClassSet(tuple(map(str, range(150))), tuple(map(voc_colour, range(150))), background=None)
    largest = 0
    real = torch.zeros

    def counting(*size, **options):
        nonlocal largest
        made = real(*size, **options)
        largest = max(largest, made.numel())
        return made

    monkeypatch.setattr(sliding.torch, "zeros", counting)
    network, image = Colours(150).eval(), photo(2000, 64)
    windows = Windows(48, 32)
    for _, _, mean in mean_probabilities(network, card(many), image, windows):
        largest = max(largest, mean.numel())
    assert largest <= 151 * 48 * 64
    assert largest < 150 * 2000 * 64 / 40
