"""Looking again with several numbers of passes at once is what each gives by itself."""

import numpy as np
import pytest
import torch
from report_run import folder_set
from tiny import STAGES, TinyNetwork
from torch import nn

from rws.data import Split, open_split
from rws.evaluate.passes import RIVAL, against_passes, looking_again
from rws.evaluate.predictions import predictions
from rws.evaluate.remembered import remembering
from rws.evaluate.ways import Trained, make_ways
from rws.runs.model_file import Card


@pytest.fixture(scope="module")
def split(tmp_path_factory) -> Split:
    return open_split("folder", folder_set(tmp_path_factory.mktemp("set") / "set"), "train")


class Counting(nn.Module):
    """A network that predicts all classes, wildly, and counts the images that it sees."""

    def __init__(self, classes: int):
        super().__init__()
        torch.manual_seed(6)
        self.inner, self.seen = TinyNetwork(classes, aux=False).eval(), 0
        nn.init.normal_(self.inner.classifier[1].weight, std=2.0)
        self.inner.classifier[1].weight.data -= self.inner.classifier[1].weight.data.mean(1, keepdim=True)

    def forward(self, x):
        self.seen += len(x)
        return self.inner(x)


@pytest.fixture
def trained(split, tiny_family) -> Trained:
    classes = split.classes
    return Trained(Counting(classes.num_classes).eval(), Card("tiny", False, STAGES, classes, base_size=32))


def labels(trained: Trained, split: Split, ways: dict) -> dict[str, list]:
    found: dict[str, list] = {name: [] for name in ways}
    for _, predicted in predictions(trained, split, split.ids, ways, "test"):
        for name, each in predicted.items():
            found[name].append((each.label, each.units))
    return found


def test_an_image_is_shown_to_the_network_once_for_all_ways(trained, split):
    ways = looking_again() | make_ways(["flip", RIVAL, "weighed_1.5"], 1)
    alone = {name: labels(trained, split, {name: way}) for name, way in ways.items()}
    trained.network.seen = 0
    with remembering(trained.network) as forget:
        together = labels(trained, split, looking_again() | make_ways(["flip", RIVAL, "weighed_1.5"], 1))
        shown = trained.network.seen
        forget()
        labels(trained, split, make_ways(["plain"], 1))
    assert trained.network.seen == shown + len(split.ids)
    # The whole, mirrored, at 1.5 times its size, and three windows at most on the average.
    assert shown <= 6 * len(split.ids)
    for name, found in together.items():
        for (ours, units), (theirs, cost) in zip(found, alone[name][name], strict=True):
            assert units == cost
            assert np.array_equal(ours, theirs)


def test_with_gradients_and_after_the_block_a_network_is_asked_anew(trained):
    images = torch.rand(2, 3, 32, 32)
    with remembering(trained.network):
        with torch.no_grad():
            first, again = (trained.network(images) for _ in "ab")
        assert trained.network.seen == 2
        assert torch.equal(first, again)
        trained.network(images.requires_grad_())
        assert trained.network.seen == 4
    with torch.no_grad():
        trained.network(images)
    assert trained.network.seen == 6


def test_the_points_are_those_of_the_ways_alone(trained, split):
    first, *more = against_passes(trained, split, split.ids)
    assert (first.way, first.units, first.gain) == ("plain", 1, None)
    assert [point.way for point in more] == ["rws_2", "rws_3", "rws_4", RIVAL]
    assert [point.units for point in more] == pytest.approx([2, 3, 4, 1 + 1.5**2], abs=0.2)
    assert all(point.units <= most for point, most in zip(more, (2, 3, 4)))
    for point in more:
        assert point.gain.mean == pytest.approx(point.miou - first.miou)
        assert point.gain.low <= point.gain.mean <= point.gain.high


def test_miou_is_that_of_all_pixels_together(trained, split):
    """By an independent count, over the whole list and over a part of it."""
    for ids in (split.ids, split.ids[:2]):
        both = either = 0
        (made,) = make_ways([RIVAL], 1).values()
        for photo, predicted in predictions(trained, split, ids, {RIVAL: made}, "test"):
            known, label = photo.label != 255, predicted[RIVAL].label
            here = [(known & (label == c), known & (photo.label == c)) for c in range(3)]
            both = both + np.array([(a & b).sum() for a, b in here])
            either = either + np.array([(a | b).sum() for a, b in here])
        assert against_passes(trained, split, ids)[-1].miou == pytest.approx(100 * np.mean(both / either))
