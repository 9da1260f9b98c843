"""`rws.see`: maps of every stage of any network, and the network as it was."""

import pytest
import torch
from torch import nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

import rws
from rws.core.advantage import missing_weights
from rws.core.cam import seg_grad_cam
from rws.core.stages import find_stages


def network() -> nn.Module:
    torch.manual_seed(1)
    body = nn.Conv2d(3, 6, 3, 4, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU()
    return nn.Sequential(*body, nn.Conv2d(8, 4, 1))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(2, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def test_the_maps_are_those_of_the_method(images):
    module = network().train()
    labels = torch.randint(0, 4, (2, 24, 32), generator=torch.Generator().manual_seed(2))
    labels[0, :5] = 255
    found = rws.see(module, images, labels)
    assert found.stages == ("1", "3")
    expected = seg_grad_cam(module, find_stages(module, found.stages), images, labels, range(4))
    assert torch.equal(found.attention, expected.maps)
    assert torch.equal(found.missing, missing_weights(expected.maps))
    assert found.attention.shape == (2, 2, 24, 32)
    assert (found.attention[0, :, :5] == 0).all()
    assert found.logits.shape == (2, 4, 6, 8)
    assert module.training
    assert all(p.grad is None and p.requires_grad for p in module.parameters())
    assert not any(m._forward_hooks for m in module.modules())


def test_without_labels_it_looks_at_its_own_prediction(images):
    module = network().eval()
    found = rws.see(module, images)
    logits = nn.functional.interpolate(module(images), (48, 64), mode="bilinear", align_corners=False)
    assert torch.equal(found.labels, logits.argmax(1))
    assert found.attention.shape == (2, 2, 48, 64)
    some = rws.see(module, images, classes=[1])
    assert (some.attention.amax(1)[some.labels != 1] == 0).all()
    assert torch.allclose(some.attention * (found.labels == 1)[:, None], some.attention)


def test_one_forward_pass_and_stages_that_are_named(images):
    module, runs = network(), []
    module.register_forward_hook(lambda *args: runs.append(1))
    found = rws.see(module, images, stages=["0", "2"])
    assert found.stages == ("0", "2")
    assert len(runs) == 1


def test_a_network_of_torchvision(images):
    found = rws.see(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=5), images)
    assert len(found.stages) >= 3
    assert found.attention.shape == (2, len(found.stages), 48, 64)


def test_what_cannot_be_seen_is_told(images):
    flat = nn.Sequential(nn.Conv2d(3, 2, 1))
    for module, given, options, said in (
        (network(), (images[0],), {}, r"shapes \[\(3, 48, 64\)\]: needed are images"),
        (network(), (images, torch.zeros(1, 9, 9)), {}, "needed are images"),
        (network(), (images,), {"stages": ["9"]}, "the network has no stage '9'"),
        (network(), (images,), {"stages": ["0"], "classes": [4]}, "class 4 is not one of"),
        (flat, (images,), {}, "Sequential: no two stages can be found in it"),
    ):
        with pytest.raises(rws.UserError, match=said):
            rws.see(module, *given, **options)


def test_a_compiled_network_is_told(images):
    with pytest.raises(rws.UserError, match="give what was compiled"):
        rws.see(torch.compile(network()), images)
