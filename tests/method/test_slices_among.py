"""Slices among whole images: crops aimed at them, and which are drawn how often."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import TINY, NoScalars, demo_set, tiny_config

from rws.cli import parse
from rws.config import TrainConfig
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data.batches import MixedBatches, SeededBatches
from rws.data.boxes import Aim
from rws.data.classes import DEMO
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainViews, View
from rws.errors import UserError
from rws.method.slices_among import Among, classes_in, even_weights, slices_among
from rws.models import FAMILIES
from rws.runs import log as report

NORMALISATION = Normalisation((0.0,) * 3, (1.0,) * 3)
BOX = (40, 60, 20, 20)
BY_CLASS = TrainConfig(slice_aim=0.5, slice_aim_by="class")


class Pictures:
    """Labels of 80x100 pixels: class 1 everywhere in a, and in b class 2 in one corner."""

    ids = ("a", "b")

    def image(self, image_id):
        return Image.fromarray(np.zeros((80, 100, 3), np.uint8))

    def label(self, image_id):
        label = np.full((80, 100), 1 if image_id == "a" else 0, np.uint8)
        label[40:60, 60:80] = 1 if image_id == "a" else 2
        return label


def views_of(views, scale=(1.0, 1.0), **more) -> TrainViews:
    geometry = Geometry(80, (40, 40), scale, hflip=0.5)
    return TrainViews(Pictures(), views, train_transform(geometry, NORMALISATION, 255), **more)


def labels(views: TrainViews, index: int, count: int = 40) -> list[torch.Tensor]:
    return [views[index, seed][1][1] for seed in range(count)]


def test_an_aimed_crop_holds_its_whole_box():
    aimed = views_of([View("b", BOX, aimed=True), View("b")])
    assert all((label == 2).sum() == 400 for label in labels(aimed, 0))
    anywhere = [int((label == 2).sum()) for label in labels(aimed, 1)]
    assert min(anywhere) < 400


def test_an_aimed_crop_lies_inside_a_box_that_is_larger():
    aimed = views_of([View("b", BOX, aimed=True)], scale=(2.5, 2.5))
    assert all((label == 2).all() for label in labels(aimed, 0))


def test_places_of_an_aimed_crop_vary():
    wide = views_of([View("b", BOX, aimed=True)])
    corners = {tuple(torch.nonzero(label == 2)[0].tolist()) for label in labels(wide, 0)}
    assert len(corners) > 10


def test_aim_takes_its_share_of_the_images_with_boxes():
    aim = Aim({"b": [BOX, (0, 0, 20, 20)]}, 0.5)
    found = Counter(aim("b", seed) for seed in range(400))
    assert 160 < found[None] < 240
    assert min(found[BOX], found[0, 0, 20, 20]) > 60
    assert all(Aim({}, 1.0)("b", seed) is None for seed in range(9))
    whole = views_of([View("b")], aim=Aim({"b": [BOX]}, 1.0))
    assert all((label == 2).sum() == 400 for label in labels(whole, 0))


def test_an_aimed_view_keeps_what_belongs_to_its_image_and_a_part_does_not():
    views = [View("b"), View("b", BOX, aimed=True), View("b", BOX)]
    attached = views_of(views, attach=lambda owner: owner)
    assert [attached[index, 0][2] for index in range(3)] == ["b", "b", ""]


def test_classes_in_a_box():
    label = torch.zeros(100, 100, dtype=torch.uint8)
    label[0, :10] = 1
    label[50, 50] = 2
    label[60:, 60:] = 255
    whole = (0, 0, 100, 100)
    assert classes_in(label, whole, (0, 1, 2)) == {0, 1}  # a ten-thousandth is too little
    assert classes_in(label, whole, (1, 2)) == {1}
    assert classes_in(label, (45, 45, 10, 10), (1, 2)) == {2}
    assert classes_in(label, (60, 60, 40, 40), (0, 1, 2)) == frozenset()


def test_weights_give_every_class_the_same_chance():
    held = [frozenset({1}), frozenset({1}), frozenset({1, 2}), frozenset(), frozenset({3})]
    weights = even_weights(held)
    chance = np.array(weights) / sum(weights)
    # By the definition: draw a class, then one of the slices that hold it.
    want = np.zeros(5)
    for index in (1, 2, 3):
        holding = [k for k, classes in enumerate(held) if index in classes]
        want[holding] += 1 / 3 / len(holding)
    assert chance == pytest.approx(want)
    assert even_weights([frozenset()] * 2) == [1.0, 1.0]


def test_slices_of_a_rare_class_are_drawn_as_often():
    views = [View("a", (y, 0, 20, 20)) for y in range(0, 60, 2)] + [View("b", BOX)]
    among = slices_among(BY_CLASS, views, Pictures(), DEMO)
    assert among.share == 0.5
    assert [view for view in among.views if not view.aimed] == []
    batches = MixedBatches(SeededBatches(2, 4, 200, seed=1), len(views), among.share, among.weights)
    drawn = Counter(index for batch in batches for index, _ in batch)
    assert drawn[0] + drawn[1] == 400
    assert 160 < drawn[2 + len(views) - 1] < 240  # the one slice of class 2, against thirty of class 1


def test_a_resumed_training_draws_the_same_slices():
    weights = [1.0, 2.0, 3.0]
    whole = list(MixedBatches(SeededBatches(6, 5, 12, seed=3), 3, 0.3, weights))
    rest = list(MixedBatches(SeededBatches(6, 5, 12, seed=3, first=7), 3, 0.3, weights))
    assert rest == whole[7:]
    seeds = [seed for batch in whole for _, seed in batch]
    assert len(set(seeds)) == len(seeds)


def test_what_the_configuration_asks_for():
    views = [View("b", BOX)]
    mixed = TrainConfig(slice_mix=0.25)
    assert slices_among(mixed, views, Pictures(), DEMO) == Among(views, 0.25)
    assert slices_among(TrainConfig(slice_aim=0.5), views, Pictures(), DEMO) == Among()
    assert slices_among(replace(BY_CLASS, slice_aim=0.0), views, Pictures(), DEMO) == Among()


def test_enlarged_and_aimed_by_class_is_refused_before_any_training():
    both = {"train.slice_mix": 0.25, "train.slice_aim": 0.5, "train.slice_aim_by": "class"}
    with pytest.raises(UserError, match=r"slice_mix 0\.25: slices are enlarged, or aimed at by class"):
        parse([], both, "here")
    assert parse([], both | {"train.slice_aim": 0.0}, "here")[0].train.slice_mix == 0.25


def test_a_run_without_slices_does_not_ask_for_them(tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "tiny", TINY)
    monkeypatch.setattr(report, "SummaryWriter", NoScalars)
    config = tiny_config(demo_set(tmp_path / "set", train=6, val=3), tmp_path / "runs", start="last", limit=1)
    config = replace(
        config,
        fusion=replace(config.fusion, enabled=False),
        train=replace(config.train, slice_aim_by="class"),
        cycles=replace(config.cycles, delta=0),
    )
    setup, _ = prepare(config)
    assert len(Run(setup).run()["cycles"]) == 2
