"""Exported files, read by the programs that they are for, and what is said of what cannot be exported."""

import importlib
import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import TinyNetwork, load_script
from torch import Tensor, nn

from rws.data.classes import DEMO
from rws.errors import UserError
from rws.models import build_network
from rws.models.same_size import nearest_size, same_size
from rws.predict.export import formats, write
from rws.predict.export.plain import PlainNetwork
from rws.runs.model_file import Card, save_trained

pytestmark = pytest.mark.usefixtures("tiny_family")

predict = load_script("predict")
ENDINGS = {"onnx": ".onnx", "torchscript": ".pt", "torch_export": ".pt2"}


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "best.pt"
    save_trained(path, trained(), card())
    return path


def trained() -> nn.Module:
    torch.manual_seed(0)
    network = TinyNetwork(DEMO.num_classes)
    nn.init.normal_(network.classifier[1].weight)
    network.train()(torch.randn(4, 3, 32, 32))
    return network.eval()


def card(name: str = "tiny") -> Card:
    return Card(name, aux=True, stages=("backbone.0",), classes=DEMO, base_size=48)


def run_file(name: str, path: Path, images: Tensor) -> tuple[Tensor, dict]:
    """Logits and metadata as a user of the file gets them."""
    if name == "onnx":
        session = importlib.import_module("onnxruntime").InferenceSession(path)
        told = session.get_modelmeta().custom_metadata_map
        logits = torch.from_numpy(session.run(None, {session.get_inputs()[0].name: images.numpy()})[0])
        return logits, {key: json.loads(value) for key, value in told.items()}
    extra = {"metadata.json": ""}
    if name == "torchscript":
        logits = torch.jit.load(path, _extra_files=extra)(images)
    else:
        logits = torch.export.load(path, extra_files=extra).module()(images)
    return logits.detach(), json.loads(extra["metadata.json"])


@pytest.mark.parametrize("name", ENDINGS)
def test_file_is_the_network(checkpoint, tmp_path, capsys, name):
    path = tmp_path / "new" / f"net{ENDINGS[name]}"
    assert predict.main(["--export", name, str(path), "--checkpoint", str(checkpoint)]) == 0
    said = capsys.readouterr().out
    assert "images (batch, 3, height, width), float32 RGB in [0, 1]" in said
    assert "largest difference" in said
    network = trained()
    for shape in ((1, 3, 48, 48), (2, 3, 61, 40), (5, 3, 33, 90)):
        images = torch.rand(shape)
        logits, told = run_file(name, path, images)
        with torch.no_grad():
            want = network((images - 0.5) / 0.5)["out"]
        torch.testing.assert_close(logits, want, atol=1e-4, rtol=0)
    assert told["class_names"] == list(DEMO.names)
    assert told["palette"] == [list(colour) for colour in DEMO.palette]
    assert told["mean"] == told["std"] == [0.5, 0.5, 0.5]
    assert told["base_size"] == 48
    assert told["input_shape"] == ["batch", 3, "height", "width"]
    assert [p.name for p in path.parent.iterdir()] == [path.name], "nothing else is left"


def test_a_fixed_size(checkpoint, tmp_path, capsys):
    path = tmp_path / "net.onnx"
    argv = ["--export", "onnx", str(path), "--checkpoint", str(checkpoint), "--export-size", "40", "56"]
    assert predict.main(argv) == 0
    assert "images (1, 3, 40, 56)" in capsys.readouterr().out
    (images,) = importlib.import_module("onnx").load(path).graph.input
    assert [d.dim_value for d in images.type.tensor_type.shape.dim] == [1, 3, 40, 56]


class OneSize(nn.Module):
    """Works for any batch, but bakes the size of the first image in when traced."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, DEMO.num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) * float(images.shape[-1])


def test_falls_back_to_what_the_network_allows(tmp_path):
    path = tmp_path / "net.pt"
    found = write.export_network(OneSize(), card(), "torchscript", path, (32, 64))
    assert found.shape == ("batch", 3, 32, 64)
    assert "not with any batch and size: on (1, 3, 32, 64) its logits differ" in found.notes[0]
    assert torch.jit.load(path)(torch.rand(3, 3, 32, 64)).shape == (3, 6, 32, 64)


class Noisy(OneSize):
    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) + torch.rand(1)


def test_a_file_that_differs_is_not_written(tmp_path):
    (tmp_path / "net.pt").write_text("the one before")
    with pytest.raises(UserError, match=r"net\.pt: tiny cannot be exported as torchscript .*differ by"):
        write.export_network(Noisy(), card(), "torchscript", tmp_path / "net.pt", (32, 32))
    assert (tmp_path / "net.pt").read_text() == "the one before"
    assert len(list(tmp_path.iterdir())) == 1


def test_logits_may_differ_by_their_last_digits():
    assert write.allowed_difference(torch.tensor([0.1, -0.5])) == pytest.approx(1e-4)
    assert write.allowed_difference(torch.tensor([20.0, -5000.0])) == pytest.approx(0.5)
    assert write.allowed_difference(torch.tensor([float("nan")])) == pytest.approx(1e-4)


@pytest.mark.parametrize("how", ["ctrl-c", "sigterm"])
def test_interrupted_it_leaves_no_file(checkpoint, tmp_path, monkeypatch, capsys, how):
    def interrupted(program, file, **_):
        file.write(b"half")
        if how == "ctrl-c":
            raise KeyboardInterrupt
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(torch.jit, "save", interrupted)
    argv = ["--export", "torchscript", str(tmp_path / "out/net.pt"), "--checkpoint", str(checkpoint)]
    assert predict.main(argv) == (130 if how == "ctrl-c" else 143)
    assert "net.pt was not written" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_no_checkpoint_is_overwritten(checkpoint, tmp_path, capsys):
    other = tmp_path / "last.pt"
    other.write_bytes(checkpoint.read_bytes())
    assert predict.main(["--export", "torchscript", str(other), "--checkpoint", str(checkpoint)]) == 2
    assert "last.pt: is a checkpoint, which the export would overwrite" in capsys.readouterr().err
    assert other.read_bytes() == checkpoint.read_bytes()


BAD = {
    "unknown format": (["--export", "onx", "net.onnx"], "onx: no such format; choose from onnx"),
    "ending": (["--export", "onnx", "net.pt"], "net.pt: a file of onnx must end in .onnx"),
    "no file": (["--export", "onnx"], "expected 2 arguments"),
    "size alone": (["--export-size", "64", "64"], "the following arguments are required: --export"),
    "size": (
        ["--export", "onnx", "n.onnx", "--export-size", "0", "64"],
        "a size of 0 64: a side needs 32",
    ),
    "with others": (["--export", "onnx", "n.onnx", "--tta", "flip"], "unrecognized arguments: --tta flip"),
    "no checkpoint": (
        ["--export", "onnx", "n.onnx", "--checkpoint", "gone.pt"],
        "gone.pt: no such checkpoint",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_code_2(checkpoint, capsys, case):
    argv, message = BAD[case]
    assert predict.main(["--checkpoint", str(checkpoint), *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line


def test_never_over_the_checkpoint(checkpoint, capsys):
    argv = ["--checkpoint", str(checkpoint), "--export", "torchscript", str(checkpoint)]
    assert predict.main(argv) == 2
    assert "would overwrite the checkpoint" in capsys.readouterr().err


def test_without_the_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r'onnxruntime is not installed; run `pip install "\.\[export\]"`'):
        formats.require_packages("onnx", formats.FORMATS["onnx"].packages)


@pytest.mark.parametrize("multiple", [1, 2, 8, 32])
def test_nearest_size_in_whole_numbers(multiple):
    for side in range(1, 400):
        want = max(1, round(side / multiple)) * multiple
        assert nearest_size((side, side), multiple) == (want, want)


class Even(nn.Module):
    """Takes sides that are multiples of 8 alone."""

    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 6, 8, 8), nn.ConvTranspose2d(6, 6, 8, 8)

    def forward(self, images: Tensor) -> Tensor:
        return self.up(self.down(images))


@pytest.mark.parametrize("name", ENDINGS)
def test_a_network_that_resizes_its_images_keeps_free_sizes(tmp_path, name):
    path = tmp_path / f"net{ENDINGS[name]}"
    found = write.export_network(same_size(Even(), 8), card(), name, path, (48, 48))
    assert found.shape == ("batch", 3, "height", "width")
    assert found.difference < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("network", ["deeplabv3_efficientnet_lite0", "lraspp_mobilenet_v3_large"])
def test_real_networks_with_free_sizes(tmp_path, network):
    torch.manual_seed(0)
    built, _ = build_network(network, DEMO.num_classes, weights="none")
    for name, ending in ENDINGS.items():
        found = write.export_network(built, card(network), name, tmp_path / f"net{ending}", (64, 64))
        assert found.shape == ("batch", 3, "height", "width"), found.notes


def test_plain_network_has_no_auxiliary_head_and_normalises():
    network, images = trained(), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        want = network((images - 0.5) / 0.5)["out"]
        plain = PlainNetwork(network, card())
        assert torch.equal(plain(images), want)
    assert not any("aux" in key for key in plain.state_dict())
    assert not any(p.requires_grad for p in plain.parameters())
    assert np.allclose(plain.mean.flatten(), 0.5)
