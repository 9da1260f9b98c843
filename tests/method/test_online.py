"""The online mode: the same blends as from a bank of half precision, with nothing but numbers on the disk."""

from dataclasses import replace

import pytest
import torch
from test_fuse import CHANNELS, CROP, GEOMETRY, PLAIN, Net
from tiny import demo_set, tiny_config

from rws.core.fusion import identity_coordinates
from rws.core.slices import window_boxes
from rws.core.stages import find_stages, stage_features
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data import open_split
from rws.data.batches import SeededBatches
from rws.data.sets.demo import generate
from rws.data.sliced_images import SlicedImages, sliced_loader
from rws.data.transforms import eval_transform, train_transform
from rws.data.views import TrainViews, View, train_loader
from rws.method.bank import Bank
from rws.method.cams import CamNetwork
from rws.method.fuse import BankFusion
from rws.method.online import OnlineFusion, SliceReader
from rws.method.select import select_features

pytestmark = pytest.mark.usefixtures("tiny_family")

EVAL = eval_transform(60, PLAIN)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    root = generate(tmp_path_factory.mktemp("demo") / "set", train=4, val=2, progress=False)
    return open_split("demo", root, "train")


def net(seed: int) -> Net:
    torch.manual_seed(seed)
    return Net().eval()


@pytest.fixture(scope="module")
def banks(split, tmp_path_factory) -> tuple[Bank, Bank, SlicedImages]:
    """A bank of half precision and one of winners, of the same selection; the second image has no slices."""
    windows = [tuple(box) for box in window_boxes(120, 160)[::5].tolist()]
    boxes = {image_id: [] if image_id == split.ids[1] else windows for image_id in split.ids}
    images = SlicedImages(split, boxes, EVAL)
    whole, sliced = (CamNetwork(net(seed), tuple(CHANNELS), split.classes) for seed in (0, 1))
    found = []
    for precision in ("half", "winner"):
        folder = tmp_path_factory.mktemp(precision)
        select_features(whole, sliced, sliced_loader(images, 0), folder / "bank", 3, precision)
        found.append(Bank(folder / "bank"))
    return *found, images


def batches_of(split, attach, workers=0):
    transform = train_transform(GEOMETRY, PLAIN, split.classes.ignore_index)
    views = TrainViews(split, [View(i) for i in split.ids], transform, identity_coordinates, attach)
    return list(train_loader(views, SeededBatches(len(views), 2, 6, seed=5), workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_blends_are_those_of_a_bank_of_half_precision(split, banks, workers):
    half, winners, images = banks
    network = net(0)
    stored = BankFusion(half, network, CROP)
    online = OnlineFusion(winners, network, CROP, sliced=net(1))
    fused = 0
    for a, b in zip(
        batches_of(split, half.read, workers), batches_of(split, SliceReader(winners, images), workers)
    ):
        assert a.ids == b.ids
        one, other = stored.blends(a), online.blends(b)
        assert one.keys() == other.keys()
        for stage, blend in one.items():
            assert torch.equal(other[stage].n, blend.n)
            torch.testing.assert_close(other[stage].added, blend.added, rtol=2e-3, atol=2e-3)
            fused += int((blend.n < 1).sum())
    assert fused > 100


def test_the_disk_holds_a_few_bytes_a_cell_whatever_the_channels(banks):
    half, winners, _ = banks
    cells = sum(len(rows.cells) for i in half._images for rows in half.read(i).values())
    size = (winners.folder / "0.rows").stat().st_size
    assert cells > 0
    assert 8 * cells <= size <= 8 * cells + 4 * len(CHANNELS) * len(half._images)  # cell, n, number


def test_only_slices_that_win_somewhere_travel(split, banks):
    _, winners, images = banks
    attached = SliceReader(winners, images)(split.ids[0])
    won = torch.cat([rows.f.flatten() for rows in winners.read(split.ids[0]).values()]).unique()
    assert attached.numbers.tolist() == won.long().tolist()
    assert attached.boxes_yxhw.tolist() == [list(images.boxes[split.ids[0]][int(k)]) for k in won]
    assert len(attached.slices) == len(won) < len(images.boxes[split.ids[0]])
    assert SliceReader(winners, images)(split.ids[1]) == {}


def test_the_head_of_the_slice_network_does_not_run():
    network = net(0)
    network.classifier.register_forward_hook(lambda *_: pytest.fail("the head ran"))
    stages = find_stages(network, ["first", "second"])
    outputs = stage_features(network, stages, torch.randn(2, 3, 16, 16))
    assert {name: f.shape[1] for name, f in outputs.items()} == CHANNELS
    assert not any(f.requires_grad for f in outputs.values())
    assert all(not m._forward_hooks for m in stages.values())


def test_an_online_run_ends_as_one_with_a_half_precision_bank(tmp_path):
    root = demo_set(tmp_path / "set")
    ends = {}
    for online in (False, True):
        config = tiny_config(root, tmp_path / f"runs-{online}", limit=1)
        config = replace(config, bank=replace(config.bank, precision="half", online=online))
        config = replace(config, train=replace(config.train, optimizer="sgd", lr=0.01))
        ends[online] = Run(prepare(config)[0]).run()
    assert ends[True]["cycles"][1]["fused_share"] == ends[False]["cycles"][1]["fused_share"]
    assert ends[True]["cycles"][1]["weak_slices"] == ends[False]["cycles"][1]["weak_slices"]
    assert ends[True]["rws"]["miou"] == pytest.approx(ends[False]["rws"]["miou"], abs=0.5)
    assert max(ends[True]["cycles"][1]["fused_share"].values()) > 0.01
