"""Stages that nobody named: which modules are taken, in networks made for the purpose."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rws.core.auto_stages import automatic_stages, stage_candidates, stride_of
from rws.core.stages import find_stages, stage_features


def conv(before: int, after: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, dilation, dilation)


class Flat(nn.Module):
    """Names no backbone: down to stride 8 and up again, with one ReLU for all and a head of 4 classes."""

    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.down3, self.down4 = (
            conv(3, 6, 2),
            conv(6, 8, 2),
            conv(8, 8),
            conv(8, 10, 2),
        )
        self.up1, self.up2, self.head = conv(10, 9), conv(9, 7), conv(7, 4)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        for down in (self.down1, self.down2, self.down3, self.down4):
            x = self.relu(down(x))
        for up in (self.up1, self.up2):
            x = self.relu(up(F.interpolate(x, scale_factor=2.0)))
        return self.head(x)


class Dilated(nn.Module):
    """Strides 2, 4, 8, then dilation; the backbone returns a dictionary, and holds what leads nowhere."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.ModuleDict(
            {
                "stem": conv(3, 4, 2),
                "one": nn.Sequential(conv(4, 6, 2), nn.ReLU(inplace=True), conv(6, 6)),
                "two": nn.Sequential(conv(6, 8, 2), conv(8, 8)),
                "three": nn.Sequential(conv(8, 8, dilation=1), conv(8, 8, dilation=2)),
                "four": nn.Sequential(conv(8, 8, dilation=4), nn.Identity()),
                "point": nn.Conv2d(8, 16, 1),
                "aside": conv(16, 16, 2),
                "squeeze": nn.AdaptiveAvgPool2d(1),
            }
        )
        self.head = nn.Conv2d(16, 4, 1)

    def forward(self, x):
        for name in ("stem", "one", "two", "three", "four", "point"):
            x = self.backbone[name](x)
        self.backbone["aside"](x)
        return {"out": self.head(x * self.backbone["squeeze"](x).sigmoid())}


class ChannelsLast(nn.Module):
    """A block between whose ends the map is (N, H, W, C), as in ConvNeXt; both ends are (N, C, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(channels), nn.Linear(channels, channels)

    def forward(self, x):
        return x + self.linear(self.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


@pytest.fixture(params=[False, True], ids=["learnt", "frozen"])
def frozen(request):
    return request.param


def test_flat_network(frozen):
    network = Flat().requires_grad_(not frozen)
    found = stage_candidates(network)
    assert [(c.name, c.channels, c.stride, c.chosen) for c in found] == [
        ("down1", 6, 2, False),
        ("down2", 8, 4, False),
        ("down3", 8, 4, True),
        ("down4", 10, 8, True),
    ]


def test_dilation_stands_for_a_stride_and_side_branches_are_no_stages(frozen):
    network = Dilated().requires_grad_(not frozen)
    found = {c.name: (c.channels, c.stride, c.dilation) for c in stage_candidates(network) if c.chosen}
    assert found == {
        "backbone.one": (6, 4, 1),
        "backbone.two": (8, 8, 1),
        "backbone.three": (8, 8, 2),
        "backbone.point": (16, 8, 4),
    }


def test_maps_in_another_order_inside_a_block_do_not_count():
    body = nn.Sequential(conv(3, 40, 4), ChannelsLast(40), conv(40, 80, 2), ChannelsLast(80))
    network = nn.Sequential()
    network.encoder, network.head = body, nn.Conv2d(80, 4, 1)
    assert automatic_stages(network) == ("encoder.1", "encoder.3")


def test_a_container_that_coarsens_more_than_once_is_opened_up():
    network = nn.Sequential()
    network.encoder = nn.Sequential(
        nn.Sequential(conv(3, 4, 2), nn.ReLU(), nn.MaxPool2d(2)), nn.Sequential(conv(4, 6, 2), conv(6, 6))
    )
    network.head = nn.Conv2d(6, 2, 1)
    assert automatic_stages(network) == ("encoder.0.2", "encoder.1")


def test_a_network_without_coarse_stages_takes_its_fine_ones(small):
    assert automatic_stages(small) == ("backbone.0", "backbone.1", "backbone.3")


def test_what_is_found_can_be_looked_at_and_the_network_is_left_as_it_was(small):
    small.train()
    before = {key: value.clone() for key, value in small.state_dict().items()}
    names = automatic_stages(small)
    assert small.training
    assert all(m.training and not m._forward_hooks for m in small.modules())
    assert all(p.requires_grad and p.grad is None for p in small.parameters())
    assert all(torch.equal(small.state_dict()[key], before[key]) for key in before)
    features = stage_features(small, find_stages(small, names), torch.zeros(1, 3, 32, 64))
    assert [tuple(f.shape[2:]) for f in features.values()] == [(32, 64), (16, 32), (8, 16)]


def test_large_images_are_tried_where_small_ones_do_not_suffice():
    class Pools(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(conv(3, 4, 4), conv(4, 6, 2))
            self.head = nn.Conv2d(6, 2, 1)

        def forward(self, x):
            x = self.encoder(x)
            return self.head(x * F.max_pool2d(x, 16).mean((2, 3), keepdim=True))

    assert automatic_stages(Pools()) == ("encoder.0", "encoder.1")


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((1, 7, 96, 160), 1),
        ((1, 7, 24, 40), 4),
        ((1, 7, 13, 20), None),
        ((1, 24, 40, 7), None),
        ((1, 5, 1, 1), None),
    ],
)
def test_stride_of_a_map(shape, stride):
    assert stride_of(torch.zeros(shape), (96, 160)) == stride
    assert stride_of((torch.zeros(shape),), (96, 160)) is None


def test_what_fails_in_the_network_itself_is_told():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("needs 5 channels")

    with pytest.raises(RuntimeError, match="needs 5 channels"):
        automatic_stages(Broken())
