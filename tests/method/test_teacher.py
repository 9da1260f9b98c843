"""Targets of a network whose answer is known: one pass is its softmax, more are what looking again sees."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import STAGES
from torch import nn

from rws.config.look_again import LookAgain
from rws.data.classes import DEMO
from rws.data.reading import Places
from rws.data.split import Split
from rws.data.targets import decoded, planes_of
from rws.errors import UserError
from rws.method.look_again import look_again
from rws.method.teacher import targets_of
from rws.runs.card import Card

CARD = Card("lraspp_mobilenet_v3_large", False, STAGES, DEMO, base_size=32)


class ByColour(nn.Module):
    """Class 0 where an image is dark, 1 where it is bright, surer the brighter; unsure of the rest."""

    def __init__(self):
        super().__init__()
        self.here = nn.Parameter(torch.zeros(1))

    def forward(self, images):
        brightness = images.mean(1, keepdim=True)
        rest = torch.full_like(brightness, -2).repeat(1, DEMO.num_classes - 2, 1, 1)
        return {"out": torch.cat([-brightness, brightness, rest], 1)}


@pytest.fixture
def photographs(tmp_path) -> Split:
    generator = np.random.default_rng(0)
    for name in "ab":
        pixels = generator.integers(0, 256, (6, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((80, 60), Image.Resampling.BICUBIC).save(tmp_path / f"{name}.png")
    return Split(tmp_path, "photographs", DEMO, ["a", "b"], Places("", ""))


@pytest.mark.parametrize("passes", [1, 3])
def test_the_target_is_what_so_many_passes_see(photographs, passes):
    network = ByColour().eval()
    found = targets_of(network, CARD, photographs, passes)
    assert list(found) == ["a", "b"]
    for image_id, target in found.items():
        seen = look_again(network, CARD, photographs.image(image_id), LookAgain(passes))
        assert seen.passes == passes
        assert torch.equal(decoded(target), planes_of(seen.probabilities()))


def test_one_pass_is_the_softmax_of_the_whole_image(photographs):
    target = decoded(targets_of(ByColour().eval(), CARD, photographs, 1)["a"])
    assert target.shape == (4, 60, 80)
    brightness = torch.from_numpy(np.array(photographs.image("a").convert("L")))
    assert target[0, brightness < 60].unique().tolist() == [0]
    assert target[0, brightness > 200].unique().tolist() == [1]
    assert target[1].min() >= 255 // DEMO.num_classes


def test_targets_of_large_photographs_are_twice_as_fine_as_the_networks_input(photographs):
    small = Card("lraspp_mobilenet_v3_large", False, STAGES, DEMO, base_size=16)
    assert decoded(targets_of(ByColour().eval(), small, photographs, 1)["a"]).shape == (4, 32, 43)


def test_a_photograph_that_no_network_can_see_is_named(tmp_path):
    Image.new("RGB", (400, 4)).save(tmp_path / "strip.png")
    strip = Split(tmp_path, "photographs", DEMO, ["strip"], Places("", ""))
    with pytest.raises(UserError, match=r"strip\.png: 400 x 4 pixels: longer than 16 times its width"):
        targets_of(ByColour().eval(), CARD, strip, 1)
