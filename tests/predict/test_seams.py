"""Seams: where windows over one image meet, the result of a smooth network has no step."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from rws.core import windows
from rws.data.classes import DEMO
from rws.models import FAMILIES
from rws.predict import sliding
from rws.predict.inference import predict_logits
from rws.predict.sliding import mean_probabilities
from rws.predict.ways import Windows
from rws.runs.model_file import Card

HEIGHT, WIDTH = 200, 280
NEAR = 8  # pixels beside a seam


class Smooth(nn.Module):
    """Logits that change slowly with the input and with the place in the window."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        y, x = (torch.linspace(-1, 1, side) for side in images.shape[-2:])
        place = torch.stack([a * y[:, None] + b * x for a, b in ((2, 1), (-1, 2), (1, -2))])
        return {"out": self.scale * torch.cat([images, place.expand_as(images)], 1)}


def gradient() -> Image.Image:
    """Grey that rises from the upper left corner to the lower right one."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.rint(255 * (x + y) / (HEIGHT + WIDTH)).astype(np.uint8)).convert("RGB")


def card(base_size: int) -> Card:
    return Card("deeplabv3_resnet50", True, FAMILIES["deeplabv3_resnet50"].stages, DEMO, base_size)


def quarters() -> tuple[Tensor, list[int], list[int]]:
    """Probabilities, and at which rows and columns a quarter begins or ends.

    110 and 154 are 0.55 of the sides, so nothing is resized.
    """
    found = predict_logits(Smooth(), card(110), gradient(), "quarters").exp()
    return found, [HEIGHT - 110, 110], [WIDTH - 154, 154]


def slid() -> tuple[Tensor, list[int], list[int]]:
    """The same of sliding windows."""
    found, options = torch.zeros(6, HEIGHT, WIDTH), Windows(96, 64)
    for y, x, mean in mean_probabilities(Smooth(), card(110), gradient(), options):
        found[:, y : y + mean.shape[1], x : x + mean.shape[2]] = mean
    edges = [
        [*options.starts(side)[1:], *(start + 96 for start in options.starts(side)[:-1])]
        for side in (HEIGHT, WIDTH)
    ]
    return found, *edges


def largest_step_over_neighbours(found: Tensor, rows: list[int], columns: list[int]) -> float:
    """The largest step across a seam over the largest among its neighbours, at the worst seam."""
    worst = 0.0
    for axis, seams in ((1, rows), (2, columns)):
        steps = found.diff(dim=axis).abs().amax([0, 3 - axis])  # between each line and the next
        for seam in seams:
            beside = torch.cat([steps[seam - 1 - NEAR : seam - 1], steps[seam : seam + NEAR]])
            worst = max(worst, float(steps[seam - 1] / beside.max()))
    return worst


@pytest.mark.parametrize("look", [quarters, slid])
def test_no_step_along_a_seam_is_larger_than_its_neighbours(look, monkeypatch):
    assert largest_step_over_neighbours(*look()) < 1.01
    for place in (windows, sliding):
        monkeypatch.setattr(place, "edge_weights", lambda box, size: torch.ones(box[2:]))
    assert largest_step_over_neighbours(*look()) > 5, "of windows that all weigh the same"
