"""Fusion of training batches: each image with its own rows, at the places where its pixels went."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import tv_tensors

from rws.core.fusion import identity_coordinates
from rws.core.stages import captured
from rws.data import open_split
from rws.data.batches import SeededBatches
from rws.data.sets.demo import generate
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainViews, View, train_loader
from rws.method.bank import Bank, BankWriter, Rows, seal
from rws.method.fuse import BankFusion

CROP = (64, 80)
GEOMETRY = Geometry(base_size=72, crop_size=CROP, scale=(0.7, 1.5), hflip=0.5)
PLAIN = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
GRIDS = {"first": (60, 80), "second": (30, 40)}  # of images of 120 x 160, at cells of 2 and 4 pixels


class Net(nn.Module):
    """Two stages, of 6 and 8 channels at strides 2 and 4."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(inplace=True))
        self.classifier = nn.Conv2d(8, 6, 1)

    def forward(self, x):
        out = self.classifier(self.second(self.first(x)))
        return {"out": F.interpolate(out, x.shape[-2:], mode="bilinear")}


CHANNELS = {"first": 6, "second": 8}


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    root = generate(tmp_path_factory.mktemp("demo") / "set", train=4, val=2, progress=False)
    return open_split("demo", root, "train")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Net().eval()


def write_bank(folder, features):
    """A bank with n = 0 at every cell; `features(image_id, stage)` gives f (P, C), or None for no rows."""
    writer = BankWriter(folder, CHANNELS)
    for image_id in features.ids:
        stages = {}
        for stage, grid in GRIDS.items():
            f = features(image_id, stage)
            cells = torch.arange(grid[0] * grid[1]) if f is not None else torch.zeros(0, dtype=torch.int64)
            f = f if f is not None else torch.zeros(0, CHANNELS[stage])
            stages[stage] = Rows(cells, torch.zeros(len(cells)), f, grid)
        writer.add(image_id, stages)
    writer.close()
    seal(folder)
    return Bank(folder)


class Constants:
    """Every feature of an image is its number in the list, from 1 on."""

    def __init__(self, ids):
        self.ids = ids

    def __call__(self, image_id, stage):
        grid = GRIDS[stage]
        return torch.full((grid[0] * grid[1], CHANNELS[stage]), 1.0 + self.ids.index(image_id))


class Coordinates:
    """The first two features of a cell are x and y of its centre in pixels of the image."""

    def __init__(self, ids):
        self.ids = ids

    def __call__(self, image_id, stage):
        height, width = GRIDS[stage]
        cells = torch.arange(height * width)
        f = torch.zeros(len(cells), CHANNELS[stage])
        pixels = 120 / height
        f[:, 0] = (cells % width + 0.5) * pixels - 0.5
        f[:, 1] = (cells // width + 0.5) * pixels - 0.5
        return f


def batches_of(split, bank, steps=6, batch_size=2, workers=0):
    """The batches of a shuffled training, each with the (index, seed) pairs it was made from."""
    transform = train_transform(GEOMETRY, PLAIN, split.classes.ignore_index)
    views = TrainViews(split, [View(i) for i in split.ids], transform, identity_coordinates, bank.read)
    plan = SeededBatches(len(views), batch_size, steps, seed=5)
    return list(zip(train_loader(views, plan, workers), plan, strict=True))


def outputs_of(network, images, context=None):
    """What the stages put out, fused or not."""
    stages = {name: network.get_submodule(name) for name in CHANNELS}
    with torch.no_grad():
        if context is None:
            with captured(stages) as outputs:
                network(images)
        else:
            with context, captured(stages) as outputs:  # our hook runs after the fusing one
                network(images)
    return outputs


def inside(batch, size):
    where = F.interpolate(batch.where, size, mode="bilinear")[:, 2]
    return (where - 1).abs() < 1e-3


@pytest.mark.parametrize("workers", [0, 2])
def test_fault_4_every_image_gets_its_own_features_under_shuffling(split, network, tmp_path, workers):
    bank = write_bank(tmp_path / "bank", Constants(split.ids))
    fusion = BankFusion(bank, network, CROP)
    orders = set()
    for batch, _ in batches_of(split, bank, workers=workers):
        orders.add(batch.ids)
        outputs = outputs_of(network, batch.images, fusion(batch))
        for output in outputs.values():
            mark = inside(batch, output.shape[-2:])
            for k, image_id in enumerate(batch.ids):
                shown = output[k][:, mark[k]]
                assert shown.numel() > 0
                torch.testing.assert_close(
                    shown, torch.full_like(shown, 1.0 + split.ids.index(image_id)), rtol=0, atol=1e-3
                )
    assert len(orders) > 2
    assert {image_id for ids in orders for image_id in ids} == set(split.ids)


def test_fault_3_features_land_where_the_pixels_of_the_crop_come_from(split, network, tmp_path):
    bank = write_bank(tmp_path / "bank", Coordinates(split.ids))
    fusion = BankFusion(bank, network, CROP)
    transform = train_transform(GEOMETRY, PLAIN, split.classes.ignore_index)
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(160.0), indexing="ij")
    label = tv_tensors.Mask(torch.zeros(120, 160, dtype=torch.uint8))
    padded = flipped = 0
    for batch, plan in batches_of(split, bank):
        outputs = outputs_of(network, batch.images, fusion(batch))
        for k, (_, seed) in enumerate(plan):
            torch.manual_seed(seed)  # the same draw of scale, flip and crop
            shown, _ = transform(tv_tensors.Image(torch.stack([x, y, torch.ones_like(x)])), label)
            flipped += bool(shown[0, 30, 40] > shown[0, 30, 41])
            padded += bool((shown[2] == 0).any())
            for stage, output in outputs.items():
                size = output.shape[-2:]
                expected = F.interpolate(shown[None], size, mode="bilinear")[0]
                mark = (expected[2] - 1).abs() < 1e-3
                assert mark.sum() > 0.3 * mark.numel()
                error = (output[k, :2] - expected[:2]).abs()[:, mark]
                # Pixels of the image: half a cell of the bank's grid at the border, else rounding.
                assert error.max() < {"first": 1.0, "second": 2.0}[stage]
                assert error.median() < 0.1
    assert padded > 0
    assert 0 < flipped < 12


def test_padding_and_images_without_rows_keep_their_own_features(split, network, tmp_path):
    known = split.ids[1:3]
    bank = write_bank(tmp_path / "bank", Constants(known))
    fusion = BankFusion(bank, network, CROP)
    padding = unknown = 0
    for batch, _ in batches_of(split, bank):
        plain = outputs_of(network, batch.images)["first"]
        found = outputs_of(network, batch.images, fusion(batch))["first"]
        mark = inside(batch, found.shape[-2:])
        for k, image_id in enumerate(batch.ids):
            kept = ~mark[k] if image_id in known else torch.ones_like(mark[k])
            padding += int(kept.sum()) if image_id in known else 0
            unknown += image_id not in known
            assert torch.equal(found[k][:, kept], plain[k][:, kept])
    assert padding > 0
    assert unknown > 0


def test_a_stage_without_rows_and_a_batch_without_rows_are_not_fused(split, network, tmp_path):
    class FirstOnly(Constants):
        def __call__(self, image_id, stage):
            return super().__call__(image_id, stage) if stage == "first" else None

    bank = write_bank(tmp_path / "first", FirstOnly(split.ids))
    fusion = BankFusion(bank, network, CROP)
    batch, _ = batches_of(split, bank, steps=1)[0]
    with fusion(batch):
        assert len(network.first._forward_hooks) == 1
        assert len(network.second._forward_hooks) == 0
    empty = write_bank(tmp_path / "empty", Constants([]))
    batch, _ = batches_of(split, empty, steps=1)[0]
    with torch.no_grad():
        plain = network(batch.images)["out"]
        with BankFusion(empty, network, CROP)(batch):
            assert torch.equal(network(batch.images)["out"], plain)


def test_the_network_trains_through_the_fusion_and_keeps_its_keys(split, tmp_path):
    network = Net().train()
    keys = list(network.state_dict())
    bank = write_bank(tmp_path / "bank", Constants(split.ids[:1]))
    fusion = BankFusion(bank, network, CROP)
    assert all(m.training for m in network.modules())
    for batch, _ in batches_of(split, bank, steps=2, batch_size=4):
        with fusion(batch):
            network(batch.images)["out"].square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert list(network.state_dict()) == keys
    assert all(not m._forward_hooks for m in network.modules())


def test_a_bank_of_other_stages_is_refused(tmp_path):
    writer = BankWriter(tmp_path / "bank", {"third": 3})
    writer.close()
    seal(tmp_path / "bank")
    with pytest.raises(KeyError, match="third"):
        BankFusion(Bank(tmp_path / "bank"), Net(), CROP)
