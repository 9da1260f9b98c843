"""Every family of networks through one step of each part; prints a table of them."""

from pathlib import Path

import pytest
import torch
from peer import peer_maps
from tiny import REPOSITORY
from torch import Tensor, nn

from rws.config import TrainConfig
from rws.core.auto_stages import automatic_stages
from rws.core.cam import seg_grad_cam
from rws.core.fusion import fused, unfused
from rws.core.stages import find_stages, stage_infos, stage_shapes
from rws.data.classes import ClassSet
from rws.models import build_network, find_family
from rws.runs.model_file import Card, load_trained, save_trained
from rws.training.optimization import loss_of, make_optimizer

CLASSES = ClassSet(("other", "a", "b", "c"), ((0, 0, 0), (9, 0, 0), (0, 9, 0), (0, 0, 9)), 0)
OWN = """
from torch import nn

def make(num_classes):
    layers = [nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(6, 8, 3, 2, 1), nn.BatchNorm2d(8)]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), nn.Conv2d(8, num_classes, 1))
"""
slow = pytest.mark.slow
NETWORKS = [
    "deeplabv3_resnet50",
    pytest.param("deeplabv3_resnet101", marks=slow),
    "deeplabv3_mobilenet_v3_large",
    "deeplabv3_efficientnet_lite0",
    "fcn_resnet50",
    pytest.param("fcn_resnet101", marks=slow),
    "lraspp_mobilenet_v3_large",
    "pcaa_resnet50",
    pytest.param("pcaa_resnet101", marks=slow),
    "smp:DeepLabV3:resnet18",
    "smp:DeepLabV3Plus:resnet18",
    "smp:FPN:efficientnet-b0",
    "smp:Linknet:mobilenet_v2",
    "smp:MAnet:resnet18",
    "smp:PAN:resnet18",
    "smp:PSPNet:resnet18",
    "smp:Segformer:resnet18",
    "smp:UPerNet:resnet18",
    pytest.param("smp:Unet:densenet121", marks=slow),
    "smp:Unet:tu-convnext_atto",
    pytest.param("smp:UnetPlusPlus:resnet18", marks=slow),
    "timm:convnext_atto",
    "timm:efficientnet_b0",
    "timm:hrnet_w18_small",
    "timm:mobilenetv3_small_050",
    "timm:regnetx_002",
    "timm:resnet18",
    "timm:resnext26ts",
    "own_network:make",
]
PACKAGES = {
    "smp": "segmentation_models_pytorch",
    "timm": "timm",
    "deeplabv3_efficientnet_lite0": "efficientnet_lite_pytorch",
}
ROWS: list[tuple] = []


def size_of(name: str) -> tuple[int, int]:
    """Small ones; PAN pools its features three times more, and what is large takes less time like this."""
    return (128, 192) if "PAN" in name else (32, 64) if "resnet50" in name else (64, 96)


def prepared(name: str) -> nn.Module:
    """A network whose normalisation does something, in double precision: the maps are compared exactly."""
    torch.manual_seed(1)
    network, _ = build_network(name, 4, weights="none")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.1)
    return network.double().eval()


def batch(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """An image of class 1 on background, with ignored pixels."""
    labels = torch.zeros(1, *size, dtype=torch.long)
    labels[0, 4 : size[0] // 2, 6 : size[1] // 2] = 1
    labels[:, :2] = 255
    return torch.randn(1, 3, *size, dtype=torch.float64), labels


def check_sizes(network: nn.Module, size: tuple[int, int]) -> None:
    for height, width in (size, (size[0] + 1, size[1] + 5)):
        images = torch.randn(1, 3, height, width, dtype=torch.float64)
        with torch.no_grad():
            output = network(images)
        assert output["out"].shape == (1, 4, height, width)
        assert output["out"].std() > 0
        assert "aux" not in output or output["aux"].shape == output["out"].shape


def check_maps(network: nn.Module, stages: tuple[str, ...], size: tuple[int, int]) -> int:
    """The maps are pytorch-grad-cam's, for the first class of which any is not 0; how many are not."""
    images, labels = batch(size)
    own = labels == 1
    for c in (1, 2, 3):
        labels = torch.where(own, c, labels)
        maps = seg_grad_cam(network, find_stages(network, stages), images, labels, (c,)).maps
        if shown := int((maps.amax((0, 2, 3)) > 0.1).sum()):
            break
    assert shown, "maps that are 0 at every stage show nothing"
    torch.testing.assert_close(maps, peer_maps(network, stages, images, labels, (c,)), rtol=0, atol=1e-5)
    return shown


def check_fusion(network: nn.Module, stages: tuple[str, ...], size: tuple[int, int]) -> None:
    """With n = 1 nothing changes, with n = 0 at the last stage something does."""
    images, _ = batch(size)
    shapes = stage_shapes(network, stages, size)
    blends = {name: unfused(channels, tuple(grid)) for name, (channels, *grid) in shapes.items()}
    with torch.no_grad():
        plain = network(images)["out"]
        with fused(find_stages(network, stages), blends):
            # In another memory format the last bits of what follows are others.
            torch.testing.assert_close(network(images)["out"], plain, rtol=0, atol=1e-10)
        last = blends[stages[-1]]
        with fused(find_stages(network, stages), {stages[-1]: type(last)(last.n * 0, last.added)}):
            assert not torch.equal(network(images)["out"], plain)
        assert torch.equal(network(images)["out"], plain), "the hooks are gone"


def train_step(network: nn.Module, size: tuple[int, int]) -> float:
    images, labels = torch.randn(2, 3, *size), torch.randint(0, 4, (2, *size))
    config = TrainConfig(lr=0.01)
    optimizer = make_optimizer(network, config)
    before = [p.detach().clone() for p in network.parameters()]
    loss = loss_of(network, network.train()(images), labels, 255, config.aux_loss)
    loss.backward()
    optimizer.step()
    changed = [not torch.equal(p, b) for p, b in zip(network.parameters(), before)]
    assert sum(changed) > len(changed) / 2
    assert all(p.isfinite().all() for p in network.parameters())
    return loss.item()


def round_trip(network: nn.Module, card: Card, path: Path, size: tuple[int, int]) -> None:
    save_trained(path, network, card)
    loaded, read = load_trained(path, [card.network])
    assert read == card
    images = torch.randn(1, 3, *size)
    with torch.no_grad():
        assert torch.equal(loaded(images)["out"], network.eval()(images)["out"])
    path.unlink()


@pytest.mark.parametrize("name", NETWORKS)
def test_one_step_of_each_part(name, tmp_path, monkeypatch):
    if package := PACKAGES.get(name.split(":")[0]):
        pytest.importorskip(package, reason=f"{name} needs {package}: pip install .[dev]")
    (tmp_path / "own_network.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    size, network = size_of(name), prepared(name)
    stages = automatic_stages(network)
    assert stages == (find_family(name).stages or stages), "those named by hand are those found"
    infos = stage_infos(network, stages, size)
    assert [i.stride for i in infos] == sorted(i.stride for i in infos)
    assert len(infos) >= 2
    before = {key: value.clone() for key, value in network.state_dict().items()}
    check_sizes(network, size)
    shown = check_maps(network, stages, size)
    check_fusion(network, stages, size)
    after = network.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())
    loss = train_step(network.float(), size)
    assert 0 < loss < float("inf")
    round_trip(network, Card(name, True, stages, CLASSES, 64), tmp_path / "a.pt", size)
    ROWS.append((name, [f"{i.channels}@{i.stride}" for i in infos], shown, loss))


def test_table_of_the_networks(capsys):
    """Printed after the rows above; it needs all of them to have run."""
    with capsys.disabled():
        print(f"\n{'network':30} {'stages: channels@stride':44} shown  loss")
        for name, stages, shown, loss in ROWS:
            print(f"{name:30} {' '.join(stages):44} {shown}/{len(stages)}  {loss:6.2f}")
    if len(ROWS) < 3:
        pytest.skip("the networks above did not run")
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_the_table_of_the_records_is_that_of_the_files(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tools")
    from any_network import NETWORKS as RECORDED
    from any_network import table

    shown = table()
    assert all(name in shown for name in RECORDED)
    assert shown in (REPOSITORY / "experiments" / "README.md").read_text(), (
        "run tools/any_network.py, and paste"
    )
