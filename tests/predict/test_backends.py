"""Networks that ONNX Runtime and OpenVINO run: torch's labels, the file that is kept, what is refused."""

import hashlib
import importlib.util
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from films import encode
from PIL import Image
from tiny import TinyNetwork, demo_set, load_script
from torch import Tensor, nn

import rws
from rws.data.classes import DEMO
from rws.errors import UserError
from rws.evaluate import command as val_command
from rws.method.look_again import look_again
from rws.models.same_size import same_size
from rws.predict import backends
from rws.predict.export import kept
from rws.predict.export.formats import FORMATS
from rws.predict.predictor import load_predictors
from rws.predict.ways import BACKENDS, LookAgain, PredictOptions, Windows
from rws.runs.model_file import Card, save_trained

pytestmark = pytest.mark.usefixtures("tiny_family")

predict = load_script("predict")
THERE = {name: importlib.util.find_spec(name.removesuffix("-bf16")) is not None for name in BACKENDS}
EXACT = [
    pytest.param(name, marks=pytest.mark.skipif(not THERE[name], reason="is not installed"))
    for name in ("onnxruntime", "openvino")
]
WAYS = {
    "plain": PredictOptions(),
    "flip": PredictOptions("flip"),
    "ms_flip": PredictOptions("ms_flip"),
    "quarters": PredictOptions("quarters"),
    "rws": PredictOptions(look_again=LookAgain()),
    "windows": PredictOptions(windows=Windows(40, 30)),
}


def trained() -> nn.Module:
    """One that predicts several classes."""
    torch.manual_seed(0)
    network = TinyNetwork(DEMO.num_classes)
    network.train()(torch.randn(4, 3, 32, 32))
    weights = network.classifier[1].weight
    with torch.no_grad():
        nn.init.normal_(weights, std=2.0)
        weights -= weights.mean(1, keepdim=True)  # else features that are all positive speak for one class
    return network.eval()


def card() -> Card:
    return Card("tiny", aux=True, stages=("backbone.0",), classes=DEMO, base_size=48)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/rws"


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_family) -> Path:
    """A folder with a checkpoint and its exported network."""
    folder = tmp_path_factory.mktemp("made")
    save_trained(folder / "best.pt", trained(), card())
    rws.load(folder / "best.pt", backend="onnxruntime")
    return folder


@pytest.fixture
def checkpoint(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run")) / "best.pt"


def content_of(path: Path) -> bytes:
    """The exported network in a file that is whole."""
    told = {each.key: each.value for each in onnx.load(path).metadata_props}
    return kept.read_kept(path, told[kept.OF_NETWORK])


def exports(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.onnx"))


def photo(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Shape: `size` is (width, height)."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 11, 3), np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("backend", EXACT)
@pytest.mark.parametrize("way", WAYS)
def test_labels_are_those_of_torch_at_odd_sizes(checkpoint, capsys, backend, way):
    labels = []
    for name in ("torch", backend):
        options = PredictOptions(**{**vars(WAYS[way]), "backend": name})
        (predictor,) = load_predictors([checkpoint], None, torch.device("cpu"), options)
        network = rws.load(checkpoint, backend=name)
        images = [photo(size, seed) for seed, size in enumerate(((61, 83), (48, 48), (131, 55)))]
        if way == "windows":
            labels.append([predictor.label(image, None) for image in images])
        else:
            labels.append([seen.label for seen in network(images, "none" if way == "plain" else way)])
    for want, got in zip(*labels):
        assert np.array_equal(want, got)
        assert len(np.unique(want)) > 1
    assert capsys.readouterr().out == "", "nothing is made again"


@pytest.mark.parametrize("backend", EXACT)
def test_logits_are_those_of_torch_for_any_batch(checkpoint, backend):
    exported, plain = (rws.load(checkpoint, backend=name).module for name in (backend, "torch"))
    for shape in ((1, 3, 48, 48), (4, 3, 75, 33), (7, 3, 32, 90)):
        images = torch.randn(shape).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            found = exported(images)["out"]
            torch.testing.assert_close(found, plain(images)["out"], atol=1e-4, rtol=0)


@pytest.mark.skipif(not THERE["openvino"], reason="is not installed")
def test_bfloat16_is_near_torch_where_the_processor_has_it(checkpoint):
    openvino = importlib.import_module("openvino")
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        with pytest.raises(UserError, match="this processor has no bfloat16; take --backend openvino"):
            rws.load(checkpoint, backend="openvino-bf16")
        return
    exported = rws.load(checkpoint, backend="openvino-bf16").module
    images = torch.randn(2, 3, 61, 40)
    want = rws.load(checkpoint).module(images)["out"]
    assert 0 < (exported(images)["out"] - want).abs().max() < 0.1 * want.abs().max()


def test_a_folder_a_comparison_and_a_film_give_the_files_of_torch(checkpoint, tmp_path):
    (tmp_path / "in").mkdir()
    for seed, size in enumerate(((61, 83), (70, 50))):
        photo(size, seed).save(tmp_path / f"in/{seed}.png")
    encode(tmp_path / "film.mp4", [photo((64, 48), seed) for seed in range(3)])
    other = shutil.copy(checkpoint, checkpoint.with_name("other.pt"))
    for backend in ("torch", "onnxruntime"):
        out, given = tmp_path / backend, ["--backend", backend, "--device", "cpu"]
        one, two = ["--model", str(checkpoint)], ["--compare", str(checkpoint), str(other)]
        assert predict.main([str(tmp_path / "in"), *one, *given, "--output", str(out / "a")]) == 0
        assert predict.main([str(tmp_path / "in"), *two, *given, "--output", str(out / "b")]) == 0
        assert predict.main([str(tmp_path / "film.mp4"), *two, *given, "--output", str(out / "c.mp4")]) == 0
    for path in (p for p in (tmp_path / "torch").rglob("*") if p.is_file()):
        assert (
            path.read_bytes()
            == (tmp_path / "onnxruntime" / path.relative_to(tmp_path / "torch")).read_bytes()
        )


# The file that is kept.


def test_the_file_is_an_ordinary_export_named_by_its_digest(checkpoint):
    (path,) = exports(checkpoint.parent)
    assert path.name.startswith("best.")
    assert len(path.suffixes[0]) == 13
    told = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert told["rws_network"].startswith(path.suffixes[0][1:])
    assert {"class_names", "normalisation", "rws_sha256"} <= set(told)


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    """One bit of a weight."""
    model = onnx.load_model_from_string(content)
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    place = content.index(weight.raw_data) + len(weight.raw_data) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def _of_another(content: bytes) -> bytes:
    """A whole file, which says that it is of another network."""
    model = onnx.load_model_from_string(content)
    del model.metadata_props[-1]
    next(p for p in model.metadata_props if p.key == kept.OF_NETWORK).value = "0" * 64
    return _sealed(model)


def _lying(content: bytes) -> bytes:
    """A whole file of other weights, which says that it is of this network."""
    model = onnx.load_model_from_string(content)
    del model.metadata_props[-1]
    weight = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) * 2).tobytes()
    return _sealed(model)


def _elsewhere(content: bytes) -> bytes:
    """A whole file whose weights lie in another file."""
    model = onnx.load_model_from_string(content)
    del model.metadata_props[-1]
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="secret")
    return _sealed(model)


def _sealed(model: onnx.ModelProto) -> bytes:
    seal = hashlib.sha256(model.SerializeToString()).hexdigest()
    model.metadata_props.add(key=kept.OF_FILE, value=seal)
    return model.SerializeToString()


@pytest.mark.parametrize("damage", [_cut, _flip, _of_another, _lying, _elsewhere])
def test_a_file_that_is_not_right_is_made_again(checkpoint, monkeypatch, capsys, damage):
    (path,) = exports(checkpoint.parent)
    good, content = path.read_bytes(), content_of(path)
    monkeypatch.setattr(backends, "make_content", lambda *_: content)
    path.write_bytes(damage(good))
    network = rws.load(checkpoint, backend="onnxruntime")
    assert f"{path}: made for --backend onnxruntime, once" in capsys.readouterr().out
    assert path.read_bytes() == good
    assert np.array_equal(network(photo((50, 60))).label, rws.load(checkpoint)(photo((50, 60))).label)


def test_other_weights_have_another_file_and_the_old_one_goes(checkpoint, capsys):
    (old,) = exports(checkpoint.parent)
    mine = old.with_name("best.mine.onnx")
    mine.touch()
    network = trained()
    with torch.no_grad():
        network.classifier[1].bias += 1
    save_trained(checkpoint, network, card())
    rws.load(checkpoint, backend="onnxruntime")
    assert "made for --backend onnxruntime" in capsys.readouterr().out
    found = exports(checkpoint.parent)
    assert old not in found
    assert mine in found
    assert len(found) == 2


def test_where_the_folder_cannot_be_written_the_users_cache_keeps_it(checkpoint, cache, monkeypatch, capsys):
    (path,) = exports(checkpoint.parent)
    content = content_of(path)
    path.unlink()
    monkeypatch.setattr(backends, "make_content", lambda *_: content)
    real = kept.written

    def read_only(target: Path):
        if target.parent == checkpoint.parent:
            raise OSError(30, "Read-only file system", str(target))
        return real(target)

    monkeypatch.setattr(kept, "written", read_only)
    rws.load(checkpoint, backend="onnxruntime")
    assert (
        capsys.readouterr().out.splitlines()[1]
        == f"note: {path}: cannot be written; it is {cache / path.name}"
    )
    assert exports(checkpoint.parent) == []
    rws.load(checkpoint, backend="onnxruntime")
    assert capsys.readouterr().out == "", "it is found in the cache"
    (cache / path.name).unlink()
    cache.rmdir()
    cache.touch()
    rws.load(checkpoint, backend="onnxruntime")
    assert "cannot be written; it is made each time" in capsys.readouterr().out


def test_a_module_at_hand_is_kept_in_the_users_cache(cache, capsys):
    network = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), nn.Conv2d(4, 5, 1))
    found = rws.load(network, backend="onnxruntime", base_size=40)
    assert np.array_equal(
        found(photo((70, 45))).label, rws.load(network, base_size=40)(photo((70, 45))).label
    )
    (path,) = exports(cache)
    assert path.name.startswith("Sequential.")


def test_the_users_cache_keeps_the_newest_files_of_a_name(checkpoint, cache):
    cache.mkdir(parents=True)
    for age in range(12):
        old = cache / f"Net.{age:012x}.onnx"
        old.touch()
        os.utime(old, (1000 - age, 1000 - age))
    (cache / "Other.000000000000.onnx").touch()
    (export,) = exports(checkpoint.parent)
    path = cache / "Net.ffffffffffff.onnx"
    assert kept.keep(content_of(export), [path]) == path
    newest = [cache / f"Net.{age:012x}.onnx" for age in range(7)]
    assert exports(cache) == sorted([*newest, path, cache / "Other.000000000000.onnx"])


# What cannot be.


def test_convolutions_that_pad_by_the_size_are_exported_with_free_sizes(tmp_path):
    layers = pytest.importorskip("timm.layers")
    torch.manual_seed(0)
    convolutions = [layers.Conv2dSame(4, 4, 3, stride=2 if n < 2 else 1) for n in range(12)]
    network = same_size(nn.Sequential(nn.Conv2d(3, 4, 1), *convolutions), 4).eval()
    path = tmp_path / "net.onnx"
    path.write_bytes(kept.make_content(network, card(), "0" * 64))
    run = FORMATS["onnx"].read(path)
    images = torch.rand(2, 3, 61, 90)
    with torch.no_grad():
        torch.testing.assert_close(run(images), network((images - 0.5) / 0.5)["out"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("backend", EXACT)
def test_a_scene_is_enlarged_as_torch_enlarges_it(backend):
    """To the sides that the network's own class asks for, which its exported file does not say."""
    torch.manual_seed(0)
    network = same_size(nn.Sequential(nn.Conv2d(3, 4, 5, 2, 2), nn.Upsample(scale_factor=2)), 16).eval()
    scenes = replace(
        card(), classes=replace(DEMO, background=None, names=DEMO.names[:4], palette=DEMO.palette[:4])
    )
    exported = backends.in_backend(network, scenes, backend, "a scene")
    found = [look_again(each, scenes, photo((132, 96)), LookAgain(3)) for each in (network, exported)]
    assert found[1].slices.shape == found[0].slices.shape == (1, 4, 64, 96)
    torch.testing.assert_close(found[1].slices, found[0].slices, atol=1e-4, rtol=0)


def test_a_network_of_one_size_is_refused_with_the_way_out():
    with pytest.raises(
        UserError, match=r"onnxruntime cannot run it .*any batch and size.*; take --backend torch$"
    ):
        rws.load(OneSize(), backend="onnxruntime", base_size=40)


class OneSize(nn.Module):
    """Computes with a number that it makes of the image's size outside torch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.conv(images) * float(np.sin(int(images.shape[-1])))


def test_a_failing_backend_names_the_size(checkpoint, monkeypatch):
    exported = rws.load(checkpoint, backend="onnxruntime").module

    def fails(images: Tensor) -> Tensor:
        raise RuntimeError("no memory\nat all")

    monkeypatch.setattr(exported, "_run", fails)
    with pytest.raises(
        UserError, match=r"^onnxruntime: fails on 1x3x32x40 \(RuntimeError: no memory at all\); take"
    ):
        exported(torch.rand(1, 3, 32, 40))


@pytest.mark.parametrize(
    ("backend", "extra", "missing"),
    [
        ("onnxruntime", "export", "onnxruntime"),
        ("openvino", "openvino", "openvino"),
        ("openvino", "openvino", "onnx"),
    ],
)
def test_a_missing_package_is_named_with_pips_command(checkpoint, monkeypatch, backend, extra, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    said = f'backend {backend}: the package {missing} is not installed; run `pip install ".[{extra}]"`'
    with pytest.raises(UserError) as error:
        rws.load(checkpoint, backend=backend)
    assert str(error.value) == said


REFUSED = {
    "cam": (
        ["--cam", "cat"],
        "--cam cat: needs torch, which shows the network's stages; leave out --backend onnxruntime",
    ),
    "attention": (["--ways", "rws", "--choose", "attention"], "--choose attention: needs torch"),
    "cuda": (
        ["--device", "cuda"],
        "--device cuda: needs torch, onnxruntime runs on the CPU; leave out --backend",
    ),
    "second gpu": (["--device", "cuda:1"], "--device cuda:1: needs torch"),
    "unknown": (["--backend", "tensorrt"], "invalid choice: 'tensorrt'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_torch_is_refused_in_a_line(checkpoint, tmp_path, capsys, case):
    flags, said = REFUSED[case]
    photo((50, 50)).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "--model", str(checkpoint), "--output", str(tmp_path / "out")]
    assert predict.main([*words, "--backend", "onnxruntime", *flags]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_heat_maps_in_python_need_torch(checkpoint):
    seen = rws.load(checkpoint, backend="onnxruntime")(photo((50, 50)))
    with pytest.raises(UserError, match="heat maps: needs torch"):
        seen.cam(seen.classes[1])
    with pytest.raises(UserError, match=r"^backend tensorrt: must be one of torch, onnxruntime"):
        rws.load(checkpoint, backend="tensorrt")


def test_scores_are_those_of_torch_and_attention_is_refused(checkpoint, tmp_path, capsys):
    data = {"name": "demo", "root": demo_set(tmp_path / "demo")}
    torch_s, ours = (
        rws.val(checkpoint, data=data, ways=("plain", "rws"), backend=name)
        for name in ("torch", "onnxruntime")
    )
    (want,), (got,) = torch_s.networks.values(), ours.networks.values()
    assert [each.confusion for each in got.values()] == [each.confusion for each in want.values()]
    assert (torch_s.environment["backend"], ours.environment["backend"]) == ("torch", "onnxruntime")
    words = ["--checkpoint", str(checkpoint), "--ways", "attention", "--backend", "onnxruntime"]
    assert val_command.main([*words, "--output", str(tmp_path / "out")]) == 2
    assert "--ways attention: needs torch" in capsys.readouterr().err
