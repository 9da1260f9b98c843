"""Networks that a name describes, smp:…, timm:… and a user's own; what is said where they cannot be had."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import load_script
from torch import nn

from rws.data.classes import DEMO
from rws.errors import UserError
from rws.models import build_network, find_family
from rws.models.compiled import is_compiled
from rws.models.same_size import nearest_size, same_size
from rws.predict.inference import predict_label
from rws.runs.model_file import Card, load_trained, save_trained

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1))
        self.head = nn.Conv2d(6, num_classes, 1)

    def forward(self, x):
        return self.head(self.backbone(x))

class Halves(Net):
    '''Adds what it halves and doubles again: sides must be multiples of 4.'''
    def forward(self, x):
        up = nn.functional.interpolate(super().forward(x), scale_factor=4.0)
        return {"out": up + x[:, :1], "aux": up}

def halved(num_classes):
    return Net(num_classes).half()

def tuned(num_classes):
    return Net(num_classes)

tuned.stages, tuned.mean, tuned.std = ["backbone.0", "backbone.1"], (0.1, 0.2, 0.3), (1.0, 1.0, 1.0)

def broken(num_classes):
    raise RuntimeError("no such\\nfile")

def two(num_classes, width):
    return Net(num_classes)

def number(num_classes):
    return num_classes

class Pair(Net):
    def forward(self, x):
        return super().forward(x), x

class Flat(Net):
    def forward(self, x):
        return super().forward(x).mean((2, 3))

def other(num_classes):
    return Net(num_classes + 1)

class Grey(Net):
    def forward(self, x):
        return super().forward(x[:, :1])

class Softmax(Net):
    def forward(self, x):
        return {"out": super().forward(x).softmax(1)}

class LogSoftmax(Net):
    def forward(self, x):
        return super().forward(x).log_softmax(1)

class Sigmoid(Net):
    def forward(self, x):
        return super().forward(x).sigmoid()

class EvalSoftmax(Net):
    def forward(self, x):
        y = super().forward(x)
        return y if self.training else y.softmax(1)

class Zero(Net):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.1)

class Relu(Net):
    def forward(self, x):
        return super().forward(x).relu()

def parallel(num_classes):
    return nn.DataParallel(Net(num_classes))

def compiled(num_classes):
    return torch.compile(Net(num_classes))

def compiled_in_place(num_classes):
    network = Net(num_classes)
    network.compile()
    return network

def compiled_in_part(num_classes):
    network = Net(num_classes)
    network.backbone = torch.compile(nn.DataParallel(network.backbone))
    return network

def scripted(num_classes):
    return torch.jit.trace(Net(num_classes), torch.zeros(1, 3, 8, 8))
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Gives the name of a factory in a module of the working directory."""
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "mine.py").write_text(OWN)
    (tmp_path / "nets" / "lost.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("nets", "nets.mine", "nets.lost"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield lambda factory: f"nets.mine:{factory}"
    for name in ("nets", "nets.mine"):
        sys.modules.pop(name, None)


def refusal(name: str, **more) -> str:
    with pytest.raises(UserError) as caught:
        build_network(name, 5, **{"weights": "none", **more})
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    return str(caught.value)


def test_own_network_keeps_its_class_and_keys(own):
    network, report = build_network(own("Net"), 5, weights="auto")
    assert str(report) == "weights: as the network's own code makes them"
    plain = sys.modules["nets.mine"].Net(5)
    assert isinstance(network, type(plain))
    assert list(network.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(network.state_dict(), strict=True)
    images = torch.randn(2, 3, 33, 50)
    with torch.no_grad():
        found = network(images)
        expected = nn.functional.interpolate(plain(images), (33, 50), mode="bilinear", align_corners=False)
    assert set(found) == {"out"}
    assert torch.equal(found["out"], expected)
    assert network.training, "it is left in the mode in which it was made"


def test_own_network_that_wants_multiples_of_4_sees_the_nearest_size(own):
    network, _ = build_network(own("Halves"), 5, weights="none")
    assert network.size_multiple == 4
    network.backbone.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[-2:]))
    for size, shown in (((64, 96), (64, 96)), ((65, 99), (64, 100)), ((1, 2), (4, 4))):
        seen: list = []
        with torch.no_grad():
            output = network(torch.randn(1, 3, *size))
        assert seen == [shown]
        assert {key: value.shape for key, value in output.items()} == dict.fromkeys(
            ("out", "aux"), torch.Size([1, 5, *size])
        )


def test_own_stages_and_normalisation(own):
    family = find_family(own("tuned"))
    assert family.stages == ("backbone.0", "backbone.1")
    assert (family.mean, family.std) == ((0.1, 0.2, 0.3), (1.0, 1.0, 1.0))
    assert find_family(own("Net")).stages is None


@pytest.mark.parametrize(
    ("factory", "said"),
    [
        ("nett", "nets.mine has no function 'nett'; did you mean Net? Form: path.to.module:factory"),
        (
            "broken",
            "factory(5) failed (RuntimeError: no such file); it must take the number of classes alone",
        ),
        ("two", "it must take the number of classes alone"),
        ("number", "returns a int; needed is a torch.nn.Module"),
        (
            "Pair",
            'the network returns a tuple; needed are logits (N, classes, H, W), bare or as {"out": logits}',
        ),
        ("Flat", "the network returns (1, 5); needed are logits (N, 5, H, W)"),
        ("other", "the network returns (1, 6, 25, 41); needed are logits (N, 5, H, W)"),
        ("Grey", "the network takes no image (1, 3, H, W); tried sides that are multiples of 1 to 64"),
        ("scripted", "returns a network of TorchScript, which cannot be looked into"),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_own_network_that_cannot_be_used(own, factory, said):
    assert said in refusal(own(factory))


@pytest.mark.parametrize(
    ("factory", "end"),
    [
        ("Softmax", "softmax: they lie in [0, 1] and sum to 1 over the classes"),
        ("EvalSoftmax", "softmax: they lie in [0, 1] and sum to 1 over the classes"),
        ("LogSoftmax", "log_softmax: their exponentials sum to 1 over the classes"),
        ("Sigmoid", "sigmoid: they lie in [0, 1]"),
    ],
)
def test_a_network_that_ends_in_probabilities_is_noted(own, factory, end):
    network, _ = build_network(own(factory), 5, weights="none")
    assert network.notes == (
        f"--model.name {own(factory)}: its outputs seem to be those of {end}; the loss and the heat maps "
        "need logits, so leave that last layer out",
    )
    assert network.training


@pytest.mark.parametrize("factory", ["Net", "Halves", "Zero", "Relu", "tuned"])
@pytest.mark.parametrize("seed", range(5))
def test_of_logits_nothing_is_noted(own, factory, seed):
    torch.manual_seed(seed)
    assert build_network(own(factory), 5, weights="none")[0].notes == ()


def test_looking_for_probabilities_draws_no_random_numbers(own):
    torch.manual_seed(3)
    build_network(own("Net"), 5, weights="none")
    found = torch.rand(1)
    torch.manual_seed(3)
    sys.modules["nets.mine"].Net(5)
    assert torch.equal(found, torch.rand(1))


@pytest.mark.parametrize(
    ("factory", "wrappers"),
    [
        ("parallel", "DataParallel"),
        ("compiled", "torch.compile"),
        ("compiled_in_place", "torch.compile"),
        ("compiled_in_part", "torch.compile and DataParallel"),
    ],
)
def test_a_wrapped_network_is_taken_out(own, factory, wrappers):
    name = own(factory)
    network, _ = build_network(name, 5, weights="none")
    plain = sys.modules["nets.mine"].Net(5)
    assert isinstance(network, type(plain))
    plain.load_state_dict(network.state_dict(), strict=True)
    assert network.notes == (
        f"--model.name {name}: taken out of {wrappers}; RWS looks into the plain network",
    )
    images = torch.randn(1, 3, 16, 16)
    seen = []
    network.backbone.register_forward_hook(lambda *args: seen.append(1))
    with torch.no_grad():
        assert torch.equal(network.eval()(images)["out"], same_size(plain.eval())(images)["out"])
    assert seen == [1]
    assert not is_compiled(network)


def test_a_network_of_half_precision_is_taken_in_whole(own):
    network, _ = build_network(own("halved"), 5)
    assert network(torch.zeros(1, 3, 8, 8))["out"].dtype == torch.float32


def test_own_module_that_cannot_be_imported(own):
    assert "No module named 'nowhere'" in refusal("nowhere.at_all:Net")
    assert "importable from the working directory" in refusal("nets.lost:Net")
    assert "no_such_package" in refusal("nets.lost:Net")


@pytest.mark.parametrize(
    ("size", "multiple", "nearest"), [((520, 693), 32, (512, 704)), ((3, 40), 32, (32, 32))]
)
def test_nearest_size(size, multiple, nearest):
    assert nearest_size(size, multiple) == nearest


def test_a_network_of_any_size_is_not_resized():
    conv = nn.Conv2d(3, 2, 1)
    images = torch.randn(1, 3, 7, 5)
    with torch.no_grad():
        expected = conv(images)
        assert torch.equal(same_size(conv)(images)["out"], expected)


def test_a_network_is_made_fit_twice():
    network = same_size(same_size(nn.Conv2d(3, 2, 3, 1, 1), 4, ("a", "b")), 2, ("b", "c"))
    assert (network.size_multiple, network.notes) == (4, ("a", "b", "c"))
    assert isinstance(network, nn.Conv2d)
    assert network(torch.zeros(1, 3, 9, 6))["out"].shape == (1, 2, 9, 6)


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("smp:Unet:resnet18", "segmentation_models_pytorch", "smp"), ("timm:resnet18", "timm", "timm")],
)
def test_without_its_package_a_network_says_how_to_install_it(monkeypatch, name, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    assert f"pip install .[{extra}]" in refusal(name)


class TestSmp:
    @pytest.fixture(autouse=True)
    def package(self):
        return pytest.importorskip("segmentation_models_pytorch", reason="pip install .[smp]")

    def test_smps_own_class_loads_the_network_and_agrees(self, package):
        network, _ = build_network("smp:FPN:resnet18", 5, weights="none")
        plain = package.FPN("resnet18", encoder_weights=None, classes=5)
        plain.load_state_dict(network.state_dict(), strict=True)
        images = torch.randn(1, 3, 64, 96)
        with torch.no_grad():
            assert torch.equal(network.eval()(images)["out"], plain.eval()(images))

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("smp:Unett:resnet18", "no architecture 'Unett'; did you mean Unet? The form is smp:<Archi"),
            ("smp:Unet:resnet19", "no encoder 'resnet19'; did you mean resnet18?"),
            ("smp:Unet", "no encoder ''"),
            ("smp:DPT:resnet18", "DPT cannot be built on this encoder"),
        ],
    )
    def test_unknown_parts(self, name, said):
        assert said in refusal(name)

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (
                OSError("offline"),
                "cannot be downloaded (OSError); check the connection, or pass --model.weights none",
            ),
            (ValueError("none"), "has no ImageNet weights of resnet18; pass --model.weights none"),
        ],
    )
    def test_weights_that_cannot_be_had(self, package, monkeypatch, error, said):
        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(package.encoders, "get_encoder", fail)
        assert said in refusal("smp:Unet:resnet18", weights="auto")

    def test_predict_reads_its_checkpoint(self, tmp_path):
        torch.manual_seed(0)
        name, stages = "smp:FPN:mobilenet_v2", ("encoder.features.3", "encoder.features.18")
        network, _ = build_network(name, DEMO.num_classes, weights="none")
        save_trained(tmp_path / "a.pt", network, Card(name, True, stages, DEMO, 32))
        photo = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(photo).save(tmp_path / "photo.png")
        command = [
            "--checkpoint",
            tmp_path / "a.pt",
            "--input",
            tmp_path / "photo.png",
            "--output",
            tmp_path / "out",
        ]
        assert (
            load_script("predict").main([*map(str, command), "--cam", DEMO.names[1], "--device", "cpu"]) == 0
        )
        found = np.asarray(Image.open(tmp_path / "out" / "photo.png"))
        card = load_trained(tmp_path / "a.pt")[1]
        assert np.array_equal(found, predict_label(network.eval(), card, Image.fromarray(photo)))
        assert (tmp_path / "out" / "photo_cam.png").is_file()

    def test_auto_weights_fill_the_encoder(self, package, monkeypatch):
        encoder = package.encoders.get_encoder("resnet18", weights=None)
        monkeypatch.setattr(package.encoders, "get_encoder", lambda name, weights: encoder)
        network, report = build_network("smp:DeepLabV3Plus:resnet18", 5, weights="auto")
        state = encoder.state_dict()
        assert report.loaded == len(state)
        assert all(torch.equal(network.encoder.state_dict()[key], state[key]) for key in state)


class TestTimm:
    @pytest.fixture(autouse=True)
    def package(self):
        return pytest.importorskip("timm", reason="pip install .[timm]")

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("timm:resnett18", "timm has no encoder 'resnett18'; did you mean resnet18?"),
            ("timm:vit_tiny_patch16_224", "as transformers do not; choose a convolutional one"),
        ],
    )
    def test_unknown_and_unusable_encoders(self, name, said):
        assert said in refusal(name)

    def test_weights_that_cannot_be_downloaded(self, package, monkeypatch):
        real = package.create_model

        def offline(*args, pretrained=False, **kwargs):
            if pretrained:
                raise OSError("offline")
            return real(*args, **kwargs)

        monkeypatch.setattr(package, "create_model", offline)
        assert "its weights cannot be downloaded (OSError)" in refusal("timm:resnet18", weights="auto")

    def test_features_are_the_encoders(self, package):
        network, _ = build_network("timm:resnet18", 5, weights="none")
        plain = package.create_model("resnet18", features_only=True, output_stride=16)
        plain.load_state_dict(network.backbone.features.state_dict(), strict=True)
        images = torch.randn(1, 3, 64, 96)
        with torch.no_grad():
            expected = plain.eval()(images)[-1]
            assert torch.equal(network.eval().backbone(images)["out"], expected)
        assert expected.shape == (1, 512, 4, 6)
        assert network.backbone.features.feature_info.reduction()[-1] == 16
        assert package.get_pretrained_cfg("resnet18").mean == find_family("timm:resnet18").mean
