"""RWS around a network of one's own: what it finds and fuses is what the parts find and fuse."""

import gc
import random

import pytest
import torch
from tiny import STAGES, TinyNetwork, same_tensors
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from rws import RWS, coordinates
from rws.config import SliceConfig
from rws.core.fusion import fused
from rws.core.slices import window_boxes
from rws.errors import UserError
from rws.method.bank import Bank
from rws.method.fuse import BankFusion
from rws.wrapper.slice_batches import shuffled

FEW = SliceConfig(step=0.25, most_per_image=3)


def images_and_labels(count: int = 6, size: tuple[int, int] = (32, 48)):
    generator = torch.Generator().manual_seed(5)
    labels = torch.zeros(count, *size, dtype=torch.long)
    for k, label in enumerate(labels):
        label[4 + k : 24, 6 : 30 + k] = 1 + k % 3
    images = torch.randn(count, 3, *size, generator=generator) + labels[:, None]
    return images, labels


def loader(batch: int = 2):
    images, labels = images_and_labels()
    ids = torch.arange(len(images))
    return [
        (images[k : k + batch], labels[k : k + batch], ids[k : k + batch]) for k in range(0, len(ids), batch)
    ]


def make_network(seed: int) -> TinyNetwork:
    """One whose normalisation and head do something, so that its maps show a part of each object."""
    torch.manual_seed(seed)
    network = TinyNetwork(4)
    network.classifier[1].reset_parameters()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.normal_(module.bias, std=0.3)
    return network


@pytest.fixture
def networks():
    return make_network(5), make_network(11)


@pytest.fixture
def selected(networks):
    """An RWS after one cycle, and the shares that are fused."""
    model, sliced = networks
    rws = RWS(model, 4, stages=STAGES, background=0, slices=FEW)
    rws.score(loader())
    return rws, rws.select(loader(), sliced)


def test_scores_do_not_depend_on_the_batches(networks):
    one, other = (RWS(networks[0], 4, stages=STAGES, background=0, slices=FEW) for _ in range(2))
    assert one.score(loader(1)).boxes == other.score(loader(3)).boxes
    assert list(one.scores.boxes) == [str(k) for k in range(6)]
    assert 0 < one.scores.weak < one.scores.windows == 6 * len(window_boxes(32, 48, step=0.25))


def test_slices_are_the_boxes_enlarged(networks):
    rws = RWS(networks[0], 4, stages=STAGES, background=0, slices=FEW)
    boxes = rws.score(loader()).boxes
    _, labels = images_and_labels()
    expected = []
    for image_id, each in boxes.items():
        for y, x, h, w in each:
            part = labels[int(image_id)][y : y + h, x : x + w][None, None].float()
            expected.append(nn.functional.interpolate(part, (32, 48)).long()[0, 0])
    batches = rws.slices(loader(), batch_size=4)
    found = [label for _, part, ids in batches for label in part]
    assert len(batches) * 4 == len(found) >= len(expected) > 4
    kinds = [sum(torch.equal(label, each) for each in expected) for label in found]
    assert all(kinds), "every batch holds slices alone"
    assert all(any(torch.equal(label, each) for label in found) for each in expected), "and every slice"
    assert [ids for _, _, ids in batches] == [[""] * 4] * len(batches)
    again = [label for _, part, _ in batches for label in part]
    assert not all(map(torch.equal, found, again)), "in another order"


def test_every_item_comes_once_and_no_more_than_so_many_are_held():
    taken = []
    out = []
    for item in shuffled((taken.append(k) or k for k in range(50)), random.Random(0), 8):
        out.append(item)
        assert len(taken) - len(out) <= 8
    assert sorted(out) == list(range(50)) != out


def test_what_is_fused_is_what_the_bank_holds(selected, networks):
    rws, shares = selected
    model = networks[0].eval()
    images, _ = images_and_labels()
    bank = Bank(rws.folder)
    assert shares == bank.fused_share(6)
    assert any(share > 0 for share in shares.values())
    fusion = BankFusion(bank, model, (32, 48))
    where = torch.stack([coordinates(32, 48).as_subclass(torch.Tensor)] * 6)
    blends = fusion.blends_of(where, [bank.read(str(k)) for k in range(6)])
    with torch.no_grad():
        plain = model(images)["out"]
        with fused(fusion.stages, blends):
            expected = model(images)["out"]
        with rws.fused(images, range(6)):
            assert torch.equal(model(images)["out"], expected)
        with rws.fused(images, range(6), where):
            assert torch.equal(model(images)["out"], expected)
        assert not torch.equal(expected, plain)
        assert torch.equal(model(images)["out"], plain)


def test_mirrored_images_are_fused_at_mirrored_places(selected):
    rws, _ = selected
    flip = v2.RandomHorizontalFlip(1.0)
    straight = coordinates(32, 48)
    _, mirrored = flip(tv_tensors.Image(torch.rand(3, 32, 48)), straight)
    plain, flipped = (torch.stack([w.as_subclass(torch.Tensor)] * 6) for w in (straight, mirrored))
    rows = [Bank(rws.folder).read(str(k)) for k in range(6)]
    fusion = BankFusion(Bank(rws.folder), rws.model, (32, 48))
    expected, found = (fusion.blends_of(where, rows) for where in (plain, flipped))
    assert any((blend.n < 1).any() for blend in expected.values())
    for stage, blend in expected.items():
        torch.testing.assert_close(found[stage].n, blend.n.flip(-1), rtol=0, atol=1e-5)
        torch.testing.assert_close(found[stage].added, blend.added.flip(-1), rtol=0, atol=1e-4)


def test_slices_and_unknown_images_are_not_fused(selected, networks):
    rws, _ = selected
    model, images = networks[0].eval(), images_and_labels()[0][:2]
    with torch.no_grad():
        plain = model(images)["out"]
        with rws.fused(images, ["", "of another set"]):
            assert torch.equal(model(images)["out"], plain)


def test_before_the_first_selection_nothing_is_fused_and_slices_are_asked_for_in_order(networks):
    rws = RWS(networks[0], 4, background=0)
    assert rws.stages == ("backbone.0", "backbone.2"), "found: strides 2, 4, 4"
    assert [(i.channels, i.stride) for i in rws.stage_infos()] == [(4, 2), (8, 4)]
    images, _ = images_and_labels()
    with rws.fused(images, range(6)):
        networks[0](images)
    with pytest.raises(UserError, match=r"nothing is scored yet; call rws\.score"):
        rws.slices(loader(), 2)


def test_the_model_keeps_its_state(networks):
    model, sliced = networks
    model.train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    rws = RWS(model, 4, background=0, slices=FEW)
    rws.score(loader())
    rws.select(loader(), sliced)
    assert same_tensors(model.state_dict(), before)
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


class Odd(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind, self.conv = kind, nn.Conv2d(3, 4, 3, 4)

    def forward(self, x):
        return {"tuple": (x, x), "flat": self.conv(x)}[self.kind]


class Tokens(nn.Module):
    """A small transformer: patches, blocks of attention, a linear head."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True) for _ in range(2))
        )
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.patches(x)
        return self.head(self.blocks(x.flatten(2).mT)).mT.unflatten(2, x.shape[-2:])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Odd("tuple"), r'Odd: the network returns tuple; needed: logits or \{"out": logits\}'),
        (
            Odd("flat"),
            r"Odd: no two stages can be found in it; needed are modules that put out maps \(N, C, H, W\)",
        ),
        (
            Tokens(),
            r"Tokens: its modules put out sequences of tokens \(N, T, C\), as a transformer's do; needed",
        ),
        (torch.compile(TinyNetwork(4)), "RWS: torch.compile runs this network, past the hooks"),
    ],
)
def test_networks_that_cannot_be_used_say_what_is_needed(model, said):
    with pytest.raises(UserError, match=said) as error:
        RWS(model, 4)
    assert "\n" not in str(error.value)


def test_unknown_stages_and_ids_that_come_twice(networks):
    with pytest.raises(UserError, match=r"TinyNetwork: the network has no stage 'backbone\.7'"):
        RWS(networks[0], 4, stages=["backbone.7", "backbone.1"])
    rws = RWS(networks[0], 4, stages=STAGES, background=0)
    with pytest.raises(UserError, match="two images have the id '0'"):
        rws.score([*loader(), *loader()])


def test_slices_of_images_of_several_sizes_are_refused(networks):
    images, labels = images_and_labels()
    whole = [
        (images[k : k + 1, :, : 32 - 8 * (k % 2)], labels[k : k + 1, : 32 - 8 * (k % 2)], [k])
        for k in range(6)
    ]
    rws = RWS(networks[0], 4, stages=STAGES, background=0, slices=FEW)
    rws.score(whole)
    with pytest.raises(UserError, match=r"slices of \[\(24, 48\), \(32, 48\)\] pixels do not fit one batch"):
        list(rws.slices(whole, batch_size=20))


def test_its_own_folder_goes_with_it_without_a_warning(recwarn):
    rws = RWS(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1)), 2, stages=["0"])
    folder = rws.folder.parent
    assert folder.is_dir()
    del rws
    gc.collect()
    assert not folder.exists()
    assert not recwarn.list
