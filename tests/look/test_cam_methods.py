"""Heat maps to look at, against pytorch-grad-cam's own wrapper, hand-computed maps and plain definitions."""

import numpy as np
import pytest
import pytorch_grad_cam
import torch
import torch.nn.functional as F
from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget
from torch import Tensor, nn

from rws.core.cam import finished, seg_grad_cam
from rws.core.stages import find_stages
from rws.look.cam_methods import TITLES, cam_method, eigen_cam

STAGES = ("first", "second")
PACKAGE = {
    "gradcam": "GradCAM",
    "gradcam++": "GradCAMPlusPlus",
    "layercam": "LayerCAM",
    "xgradcam": "XGradCAM",
    "hirescam": "HiResCAM",
}
CLASS = 1


class Small(nn.Module):
    """Two stages; an activation in place after the second, which the package's own hooks cannot bear."""

    def __init__(self, in_place: bool = False):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.second = nn.Conv2d(6, 5, 3, 2, 1)
        self.after = nn.ReLU(inplace=in_place)
        self.head = nn.Conv2d(5, 3, 3, padding=1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.after(self.second(self.first(images))))
        return {"out": F.interpolate(logits, images.shape[-2:], mode="bilinear", align_corners=False)}


class Bare(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)["out"]


@pytest.fixture
def network() -> Small:
    torch.manual_seed(3)
    network = Small().eval()
    with torch.no_grad():  # an untrained network likes one class
        logits = network(torch.randn(1, 3, 24, 32, generator=torch.Generator().manual_seed(1)))["out"]
        network.head.bias -= logits.mean((0, 2, 3))
    return network


@pytest.fixture
def images() -> Tensor:
    return torch.randn(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))


def own_pixels(network: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return network(images)["out"].argmax(1) == CLASS


def ours(network: nn.Module, images: Tensor, name: str) -> Tensor:
    """Shape: (L, H, W)."""
    labels = torch.where(own_pixels(network, images), CLASS, -1)
    stages = find_stages(network, STAGES)
    return seg_grad_cam(network, stages, images, labels, [CLASS], method=cam_method(name)).maps[0]


@pytest.mark.parametrize("name", PACKAGE)
def test_each_method_is_the_packages(network, images, name):
    own = own_pixels(network, images)
    assert 20 < own.sum() < own.numel() - 20
    found = ours(network, images, name)
    target = SemanticSegmentationTarget(CLASS, own[0].float().numpy())
    for stage, got in zip(STAGES, found):
        with getattr(pytorch_grad_cam, PACKAGE[name])(Bare(network), [getattr(network, stage)]) as cam:
            cam(images.clone(), [target])
            layers = cam.activations_and_grads.activations[0], cam.activations_and_grads.gradients[0]
            raw = cam.get_cam_image(None, None, [target], *(a.numpy() for a in layers), False)
        # The package resizes with OpenCV, which places pixels as torch does; scaled before as well as after.
        want = finished(torch.from_numpy(raw), images.shape[-2:])[0] * own[0]
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


def test_grad_cam_is_the_packages_picture_too(network, images):
    """The whole of the package, its resizing and scaling included."""
    own = own_pixels(network, images)[0]
    target = SemanticSegmentationTarget(CLASS, own.float().numpy())
    for stage, got in zip(STAGES, ours(network, images, "gradcam")):
        with pytorch_grad_cam.GradCAM(Bare(network), [getattr(network, stage)]) as cam:
            want = torch.from_numpy(cam(images.clone(), [target])[0]) * own
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", TITLES)
def test_maps_are_finite_in_the_unit_interval_and_none_outside_the_class(network, images, name):
    found = ours(network, images, name)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found * ~own_pixels(network, images)).abs().max() == 0
    if name != "gradcam":
        assert (found - ours(network, images, "gradcam")).abs().max() > 0.01


@pytest.mark.parametrize("name", TITLES)
def test_an_activation_in_place_changes_nothing(network, images, name):
    in_place = Small(in_place=True).eval()
    in_place.load_state_dict(network.state_dict())
    assert torch.equal(ours(in_place, images, name), ours(network, images, name))


@pytest.mark.parametrize("name", TITLES)
def test_the_network_is_left_as_it_was(network, images, name):
    network.train()
    ours(network, images, name)
    assert network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks for m in network.modules())


# Two channels of 2 x 2: features, gradients, and what each definition makes of them by hand.
FEATURE = torch.tensor([[[[1.0, 2.0], [3.0, 0.0]], [[0.0, 4.0], [1.0, 2.0]]]])
GRADIENT = torch.tensor([[[[2.0, -1.0], [1.0, 3.0]], [[1.0, 1.0], [-2.0, 0.5]]]])
BY_HAND = {
    # Sum of products: 2 + 0, -2 + 4, 3 - 2, 0 + 1; least 1, most 2.
    "hirescam": [[1.0, 1.0], [0.0, 0.0]],
    # Negative gradients left out: 2 + 0, 0 + 4, 3 + 0, 0 + 1; less 1, by 3.
    "layercam": [[1 / 3, 1.0], [2 / 3, 0.0]],
    # Mean gradients 5/4 and 1/8: 10/8, 24/8, 31/8, 2/8; less 2/8, by 29/8.
    "gradcam": [[8 / 29, 22 / 29], [1.0, 0.0]],
    # Weights (2 - 2 + 3)/6 = 1/2 and (4 - 2 + 1)/7 = 3/7: 7/14, 38/14, 27/14, 12/14; less 7/14, by 31/14.
    "xgradcam": [[0.0, 1.0], [20 / 31, 5 / 31]],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name):
    got = cam_method(name)(FEATURE, GRADIENT, (2, 2))
    torch.testing.assert_close(got, torch.tensor([BY_HAND[name]]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.parametrize(
    ("feature", "gradient"),
    [
        pytest.param(torch.zeros(1, 2, 3, 3), torch.ones(1, 2, 3, 3), id="no features"),
        pytest.param(torch.ones(1, 2, 3, 3), torch.zeros(1, 2, 3, 3), id="no gradient"),
        pytest.param(torch.ones(1, 2, 3, 3), -torch.ones(1, 2, 3, 3), id="all negative"),
        # These sums cancel all but the constant that keeps a denominator from 0.
        pytest.param(
            torch.tensor([1.0, -1.0 - 1e-7, 0.0, 0.0]).view(1, 1, 2, 2),
            torch.ones(1, 1, 2, 2),
            id="cancelling",
        ),
        pytest.param(torch.rand(1, 1, 1, 1), torch.rand(1, 1, 1, 1), id="one cell"),
    ],
)
def test_degenerate_maps_are_finite(name, feature, gradient):
    found = cam_method(name)(feature, gradient, (6, 6))
    assert found.shape == (1, 6, 6)
    assert found.isfinite().all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_tiny_gradient_gives_the_map_of_a_large_one():
    """Of the methods that are proportional to it."""
    for name in ("gradcam", "layercam", "xgradcam", "hirescam"):
        large, tiny = (cam_method(name)(FEATURE, GRADIENT * k, (4, 4)) for k in (1.0, 1e-20))
        torch.testing.assert_close(tiny, large)


def test_eigen_cam_is_the_packages_but_for_the_sign():
    features = np.random.default_rng(0).random((2, 7, 5, 6))
    (method,) = (pytorch_grad_cam.EigenCAM(nn.Linear(1, 1), []),)
    got, want = eigen_cam(features, features), method.get_cam_image(*[None] * 3, features, None, False)
    for one, other in zip(got, want):
        assert min(np.abs(one - other).max(), np.abs(one + other).max()) < 1e-5
        assert one.max() >= -one.min()
