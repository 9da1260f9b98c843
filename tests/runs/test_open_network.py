"""Networks by name: checkpoints, torchvision's published ones from wherever their weights lie, one's own."""

import dataclasses
from functools import partial
from pathlib import Path

import pytest
import torch
from published import LIGHT, publish
from tiny import STAGES, TINY, same_tensors
from torchvision.models import segmentation as tv

from rws.data.classes import DEMO, VOC2012
from rws.data.download.__main__ import WEIGHTS
from rws.errors import UserError
from rws.models import FAMILIES
from rws.runs import published
from rws.runs.model_file import Card, save_trained
from rws.runs.open_network import open_network
from rws.runs.published import PUBLISHED, weights_of


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """torch.hub's cache, empty; the working directory has no weights/."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "hub/checkpoints"


@pytest.mark.parametrize(
    "place", ["weights/{name}_coco.pth", "weights/{download}", "hub/checkpoints/{download}"]
)
def test_published_weights_are_taken_from_where_they_lie(place, hub, tmp_path, monkeypatch):
    network = publish(LIGHT, tmp_path / "made.pth", monkeypatch)
    path = tmp_path / place.format(name=LIGHT, download=FAMILIES[LIGHT].file_names[1])
    path.parent.mkdir(parents=True)
    (tmp_path / "made.pth").rename(path)
    assert weights_of(LIGHT, Path("weights")).resolve() == path
    opened, card = open_network(LIGHT)
    assert same_tensors(opened.state_dict(), network.state_dict())
    assert not opened.training
    assert card == Card(LIGHT, False, FAMILIES[LIGHT].stages, VOC2012, 520)


def test_the_auxiliary_head_of_the_file_is_left_out(hub, tmp_path, monkeypatch):
    name = "deeplabv3_mobilenet_v3_large"
    build = partial(tv.deeplabv3_mobilenet_v3_large, aux_loss=True)
    network = publish(name, tmp_path / f"weights/{name}_coco.pth", monkeypatch, build)
    own = {key: value for key, value in network.state_dict().items() if not key.startswith("aux_")}
    assert len(own) < len(network.state_dict())
    assert same_tensors(open_network(name)[0].state_dict(), own)


def test_classes_palette_and_size_are_those_of_torchvisions_weights():
    enums = [value for key, value in vars(tv).items() if key.endswith("_Weights")]
    assert len(enums) == len(PUBLISHED)
    for weights in (enum.COCO_WITH_VOC_LABELS_V1 for enum in enums):
        assert ("background", *weights.meta["categories"][1:]) == VOC2012.names
        assert weights.transforms.keywords == {"resize_size": published.BASE_SIZE}


@pytest.mark.parametrize("name", PUBLISHED)
def test_our_download_gives_the_file_that_is_looked_for(name):
    item, family = WEIGHTS[name], FAMILIES[name]
    assert (item.name, item.remote.url) == (family.weights_file, family.download)
    assert item.remote.checksum == f"sha256:{family.sha256_prefix}"


def test_weights_of_another_hash_are_refused(hub, tmp_path):
    (tmp_path / "weights").mkdir()
    torch.save({"a": torch.ones(1)}, tmp_path / f"weights/{LIGHT}_coco.pth")
    with pytest.raises(UserError, match="expected d234d4ea"):
        open_network(LIGHT)


def test_without_weights_and_network_one_line_says_what_to_do(hub, tmp_path, monkeypatch):
    publish(LIGHT, tmp_path / "elsewhere.pth", monkeypatch)  # its address refuses every connection
    with pytest.raises(UserError) as error:
        open_network(LIGHT)
    said = str(error.value)
    assert said.startswith(
        f"{LIGHT}: its weights are neither weights/{LIGHT}_coco.pth nor in torch.hub's cache"
    )
    assert f"`rws download {LIGHT}`" in said
    assert "\n" not in said


def test_they_are_downloaded_into_the_cache_of_torch_hub(hub, tmp_path, monkeypatch, capsys):
    network = publish(LIGHT, tmp_path / "server/file.pth", monkeypatch)
    family = FAMILIES[LIGHT]
    digest = family.sha256_prefix
    (tmp_path / "server/file.pth").rename(tmp_path / f"server/x-{digest}.pth")
    address = (tmp_path / f"server/x-{digest}.pth").as_uri()
    monkeypatch.setitem(FAMILIES, LIGHT, dataclasses.replace(family, download=address))
    opened, _ = open_network(LIGHT)
    assert same_tensors(opened.state_dict(), network.state_dict())
    assert [path.name for path in hub.iterdir()] == [f"x-{digest}.pth"]
    assert "downloading its published weights" in capsys.readouterr().out


def test_a_checkpoint_by_text_or_path(tmp_path, tiny_family):
    path, network = tmp_path / "best", TINY.build(DEMO.num_classes, False)
    card = Card("tiny", False, STAGES, DEMO, 32)
    save_trained(path, network, card)
    for what in (path, str(path)):
        opened, found = open_network(what)
        assert found == card
        assert same_tensors(opened.state_dict(), network.state_dict())


OWN = """
from torch import nn

def _net(count):
    body = nn.Conv2d(3, 4, 3, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, 2, 1)
    return nn.Sequential(*body, nn.Conv2d(6, count, 1))

def bare():
    return _net(3)

def counted(num_classes):
    return _net(num_classes)

def named(num_classes=5):
    return _net(num_classes)

named.classes = ["background", "cat"]
"""


@pytest.mark.parametrize(
    ("factory", "attribute", "names", "background"),
    [
        ("bare", "", ("0", "1", "2"), None),
        ("bare", "classes = 'a', 'b', 'background'", ("a", "b", "background"), 2),
        ("counted", "classes = ['sky', 'road']", ("sky", "road"), None),
        ("named", "", ("background", "cat"), 0),
    ],
)
def test_a_network_of_ones_own(factory, attribute, names, background, hub, tmp_path, monkeypatch):
    module = f"own_{factory}{len(attribute)}"
    (tmp_path / f"{module}.py").write_text(OWN + attribute)
    monkeypatch.syspath_prepend(tmp_path)
    network, card = open_network(f"{module}:{factory}")
    assert (card.classes.names, card.classes.background) == (names, background)
    assert [c for c in card.classes.palette if c == (0, 0, 0)] == [(0, 0, 0)] * (background is not None)
    assert network(torch.zeros(1, 3, 40, 48))["out"].shape == (1, len(names), 40, 48)
    assert card.stages == ("1", "2")


def test_a_network_of_ones_own_that_cannot_be_used(hub, tmp_path, monkeypatch):
    (tmp_path / "own_wrong.py").write_text(OWN + "classes = ['a', 'b']\n")
    (tmp_path / "own_nameless.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"^own_wrong:bare: the network returns \(1, 3, \d+, \d+\)"):
        open_network("own_wrong:bare")
    with pytest.raises(UserError, match="own_nameless does not say which there are; give it an attribute"):
        open_network("own_nameless:counted")
    with pytest.raises(UserError, match=r"^own_missing:make: importing own_missing"):
        open_network("own_missing:make")


def test_a_folder_is_told_from_a_name(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("demo").mkdir()
    Path("demo/last.pt").touch()
    for named in ("demo", Path("demo"), "./demo"):
        with pytest.raises(UserError) as error:
            open_network(named)
        assert str(error.value).endswith("demo: a folder, no checkpoint; give demo/last.pt")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("deeplab3_resnet50", "no file and no network of this name; did you mean deeplabv3_resnet50?"),
        ("pcaa_resnet50", "has no published weights for all of its layers"),
        ("smp:Unet:resnet34", "has no published weights for all of its layers"),
        ("runs/none/best", "no such checkpoint"),
        ("best.pt", "no such checkpoint"),
    ],
)
def test_a_wrong_name_comes_with_what_there_is(name, said, hub):
    with pytest.raises(UserError, match=name) as error:
        open_network(name)
    assert said in str(error.value)
