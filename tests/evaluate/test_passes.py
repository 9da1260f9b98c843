"""Looking again with several numbers of passes at once is what each gives by itself."""

import numpy as np
import pytest
import torch
from report_run import folder_set
from tiny import STAGES, TinyNetwork
from torch import nn

from rws.data import Split, open_split
from rws.evaluate.passes import PASSES, RIVAL, LookedOnce, against_passes
from rws.evaluate.predictions import predictions
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


def test_each_number_of_passes_gives_what_rws_val_gives_with_it(trained, split):
    together = labels(trained, split, LookedOnce().ways)
    assert list(together) == ["plain", "rws_2", "rws_3", "rws_4"]
    for passes in PASSES[1:]:
        alone = labels(trained, split, make_ways(["rws"], passes))["rws"]
        for (ours, units), (theirs, cost) in zip(together[f"rws_{passes}"], alone, strict=True):
            assert units == cost
            assert np.array_equal(ours, theirs)


def test_an_image_is_looked_at_once_for_all_with_windows_of_one_size(trained, split, monkeypatch):
    monkeypatch.setattr("rws.core.windows.HOLD", 1.1)
    most = max(units for _, units in labels(trained, split, make_ways(["rws"], max(PASSES)))["rws"])
    trained.network.seen = 0
    found = labels(trained, split, LookedOnce().ways)
    assert len(split.ids) < trained.network.seen <= most * len(split.ids)
    assert trained.network.seen == sum(max(u for _, u in each) for each in zip(*found.values()))


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
