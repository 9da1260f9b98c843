"""A trained network in one file, and that it is a plain one."""

import pickle

import pytest
import torch
from tiny import STAGES, TinyNetwork, same_tensors
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, deeplabv3_resnet50

from rws.config import TrainConfig
from rws.core.fusion import Blend, fused
from rws.core.stages import find_stages, stage_shapes
from rws.data.classes import CAMVID, DEMO, VOC2012
from rws.errors import UserError
from rws.models import FAMILIES, build_network
from rws.runs import checkpoint
from rws.runs.model_file import Card, load_trained, save_trained
from rws.training.optimization import make_optimizer, segmentation_loss

pytestmark = pytest.mark.usefixtures("tiny_family")


@pytest.fixture
def tiny() -> TinyNetwork:
    torch.manual_seed(0)
    return TinyNetwork(6)


@pytest.mark.parametrize("classes", [DEMO, VOC2012.binary("car"), CAMVID])
def test_round_trip(tmp_path, classes):
    network = TinyNetwork(classes.num_classes, aux=False)
    network(torch.randn(2, 3, 16, 16))  # so that batch norm has statistics of its own
    card = Card("tiny", False, STAGES, classes, 32)
    save_trained(tmp_path / "a.pt", network, card, cycle=3, epoch=1, miou=45.5)
    loaded, read = load_trained(tmp_path / "a.pt")
    assert read == card
    assert hash(read) == hash(card), "tuples have not become lists"
    assert not any(module.training for module in loaded.modules())
    assert same_tensors(loaded.state_dict(), network.state_dict())
    x = torch.randn(1, 3, 20, 24)
    with torch.no_grad():
        assert torch.equal(loaded(x)["out"], network.eval()(x)["out"])
    content = torch.load(tmp_path / "a.pt", weights_only=True)
    assert (content["cycle"], content["epoch"], content["miou"]) == (3, 1, 45.5)


def fused_step(network: torch.nn.Module, stages: tuple[str, ...]) -> None:
    """One optimizer step of a forward pass that is fused at every stage."""
    shapes = stage_shapes(network, stages, (32, 32))
    n = {name: torch.rand(2, 1, *size) for name, (_, *size) in shapes.items()}
    blends = {s: Blend(n[s], (1 - n[s]) * torch.rand(2, *shapes[s])) for s in stages}
    optimizer = make_optimizer(network, TrainConfig(lr=0.01))
    with fused(find_stages(network, stages), blends):
        output = network.train()(torch.randn(2, 3, 32, 32))
    segmentation_loss(output, torch.randint(0, 6, (2, 32, 32)), 255, 0.5).backward()
    optimizer.step()


@pytest.mark.parametrize("own", [deeplabv3_resnet50, deeplabv3_mobilenet_v3_large], ids=lambda f: f.__name__)
def test_a_network_trained_with_fusion_is_torchvisions_own(tmp_path, own):
    torch.manual_seed(0)
    name = own.__name__
    stages = FAMILIES[name].stages
    network, _ = build_network(name, 6, weights="none")
    before = network.classifier[0].convs[0][0].weight.detach().clone()
    fused_step(network, stages)
    assert not torch.equal(network.classifier[0].convs[0][0].weight, before)

    state, x = network.state_dict(), torch.randn(1, 3, 40, 48)
    if own is deeplabv3_mobilenet_v3_large:  # ResNet-50 would be 160 MB
        save_trained(tmp_path / "a.pt", network, Card(name, True, stages, DEMO, 32))
        state = torch.load(tmp_path / "a.pt", weights_only=True)["model"]
    with torch.device("meta"):  # not drawn at random, since it is filled at once
        plain = own(weights=None, weights_backbone=None, num_classes=6, aux_loss=True)
    plain.load_state_dict(state, strict=True, assign=True)
    with torch.no_grad():
        theirs = plain.eval()(x)["out"]
        assert torch.equal(network.eval()(x)["out"], theirs), "fusion leaves nothing behind"
        if (tmp_path / "a.pt").exists():
            assert torch.equal(load_trained(tmp_path / "a.pt")[0](x)["out"], theirs)


def refusal(path) -> str:
    with pytest.raises(UserError) as caught:
        load_trained(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file(tmp_path):
    assert "no such checkpoint" in refusal(tmp_path / "a.pt")
    assert f"{tmp_path}: a folder, no checkpoint; give a file" in refusal(tmp_path)


def test_the_folder_of_a_run_comes_with_its_checkpoints(tmp_path):
    (tmp_path / "best.pt").touch()
    assert refusal(tmp_path) == f"{tmp_path}: a folder, no checkpoint; give {tmp_path / 'best.pt'}"
    (tmp_path / "last.pt").touch()
    assert refusal(tmp_path).endswith(f"; give {tmp_path / 'best.pt'} or {tmp_path / 'last.pt'}")


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_file(tmp_path, tiny, kept):
    save_trained(tmp_path / "a.pt", tiny, Card("tiny", True, STAGES, DEMO, 32))
    content = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    assert "not a readable checkpoint" in refusal(tmp_path / "a.pt")


def test_foreign_files(tmp_path, tiny):
    torch.save(tiny.state_dict(), tmp_path / "state.pt")
    assert "not a checkpoint of this project" in refusal(tmp_path / "state.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    assert "not a checkpoint of this project" in refusal(tmp_path / "list.pt")
    torch.save({"format": 99, "model": {}}, tmp_path / "later.pt")
    assert "not a checkpoint of this project" in refusal(tmp_path / "later.pt")
    (tmp_path / "photo.pt").write_bytes(b"\xff\xd8\xff\xe0 not a network")
    assert "not a readable checkpoint" in refusal(tmp_path / "photo.pt")
    checkpoint.save(tmp_path / "training.pt", {"model": tiny.state_dict(), "step": 3})
    assert "no trained network" in refusal(tmp_path / "training.pt")


class Evil:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_pickled_code_is_not_run(tmp_path, tiny):
    mark = tmp_path / "ran"
    torch.save({"format": checkpoint.FORMAT, "model": Evil(mark)}, tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Evil(mark)))
    torch.save(tiny, tmp_path / "whole_module.pt")
    for name in ("a.pt", "b.pt", "whole_module.pt"):
        assert "not a readable checkpoint" in refusal(tmp_path / name)
    assert not mark.exists()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    checkpoint.save(tmp_path / "a.pt", {"step": 1})
    with pytest.raises(Exception, match="pickle"):
        checkpoint.save(tmp_path / "a.pt", {"step": lambda: None})
    with pytest.raises(TypeError):
        checkpoint.write_json(tmp_path / "a.json", {"step": object()})
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]
    assert checkpoint.load(tmp_path / "a.pt")["step"] == 1
