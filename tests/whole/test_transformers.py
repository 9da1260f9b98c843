"""Transformers: trained without slices, used in every way that needs no heat maps, refused in the others."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import demo_set, same_tensors, tiny_config

import rws
from rws.cli import dump
from rws.commands.main import main
from rws.errors import UserError
from rws.models import build_network
from rws.models.smp_networks import _imagenet
from rws.predict.inference import predict_label
from rws.runs import checkpoint
from rws.runs.model_file import load_trained
from rws.training.training import Training

smp = pytest.importorskip("segmentation_models_pytorch", reason="pip install .[smp]")
NAME = "smp:Segformer:mit_b0"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return demo_set(tmp_path_factory.mktemp("demo") / "set")


def flags_of(folder: Path, root: Path, **fusion) -> list[str]:
    """The flags of a training of four steps; without fusion unless told."""
    config = tiny_config(root, folder / "runs", limit=0)
    config = replace(config, name="a", log=[], model=replace(config.model, name=NAME))
    config = replace(config, fusion=replace(config.fusion, **{"enabled": False, **fusion}))
    (folder / "c.yaml").write_text(dump(config))
    return ["train", "--config", str(folder / "c.yaml")]


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory) -> Path:
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("trained")
    assert main(flags_of(folder, root)) == 0
    return folder / "runs/a"


def photo(folder: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 75, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    return folder / "photo.png"


def test_a_training_without_slices_ends_with_its_report_and_without_heat_maps(trained):
    _, card = load_trained(trained / "best.pt")
    assert card.stages == ()
    assert json.loads((trained / "summary.json").read_text())["stopped"] == "cycle limit 0"
    page = (trained / "report.html").read_text()
    assert "so there are no heat maps" in page
    assert 'id="show-prediction"' in page
    assert "No pictures" not in page
    for heat in ('id="show-attention"', '"heats kind-attention', 'id="stage-0"', "rws guide --checkpoint"):
        assert heat not in page


def test_a_stopped_training_goes_on_bit_for_bit(trained, root, tmp_path, monkeypatch):
    real, left = Training._one_step, [3]

    def stopping(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(self, *args, **kwargs)

    flags = flags_of(tmp_path, root)
    with monkeypatch.context() as patch:
        patch.setattr(Training, "_one_step", stopping)
        assert main(flags) == 130
    assert not (tmp_path / "runs/a/last.pt").exists()
    assert main([*flags, "--resume"]) == 0
    one, other = (checkpoint.load(f / "last.pt")["model"] for f in (trained, tmp_path / "runs/a"))
    assert same_tensors(one, other)


@pytest.mark.parametrize("more", [{"enabled": True}, None])
def test_slices_and_heat_maps_are_refused_with_the_way_out(root, tmp_path, capsys, more):
    flags = [*flags_of(tmp_path, root, **(more or {})), *([] if more else ["--cam-vis"])]
    assert main(flags) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--model.name {NAME}: no heat maps, so no slices" in line
    assert "train it with --fusion.enabled false" in line
    assert not (tmp_path / "runs/a").exists()


def test_photographs_are_predicted_once_and_again(trained, tmp_path):
    path, best = photo(tmp_path), str(trained / "best.pt")
    for way in ("plain", "flip", "rws"):
        assert (
            main(["predict", str(path), "--model", best, "--ways", way, "--output", str(tmp_path / way)]) == 0
        )
    network, card = load_trained(trained / "best.pt")
    plain = predict_label(network.eval(), card, Image.open(path))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "plain/photo.png")), plain)
    seen = rws.load(best)(path, ways="rws", passes=3)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "rws/photo.png")), seen.label)
    assert seen._look.passes == 3
    with pytest.raises(UserError, match="no stages to look at"):
        seen.cam(card.classes.names[1])


def test_it_is_measured_in_every_way_that_needs_no_maps(trained, root, tmp_path, capsys):
    best, out = str(trained / "best.pt"), tmp_path / "out"
    flags = [
        "val",
        "--checkpoint",
        best,
        "--data.name",
        "demo",
        "--data.root",
        str(root),
        "--output",
        str(out),
    ]
    assert main([*flags, "--ways", "plain", "rws", "flip"]) == 0
    assert "rws" in capsys.readouterr().out
    assert main([*flags, "--ways", "attention"]) == 2
    assert "it has no stages to look at (transformers have none)" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--cam", "kite"], ["--ways", "rws", "--choose", "attention"]])
def test_what_needs_heat_maps_is_refused_in_one_line(trained, tmp_path, capsys, flags):
    where = [str(photo(tmp_path)), "--output", str(tmp_path / "out")]
    assert main(["predict", *where, "--model", str(trained / "best.pt"), *flags]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no stages to look at (transformers have none), so there are no heat maps; rws predict" in line
    assert not (tmp_path / "out/photo.png").exists()


def test_guide_says_that_there_is_nothing_to_look_at(trained, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "a")
    assert main(["guide", "--checkpoint", str(run / "best.pt")]) == 2
    assert "no stages to look at" in capsys.readouterr().err


# Encoders of timm whose weights are of one size.


@pytest.mark.parametrize(
    ("name", "multiple"),
    [("smp:DPT:tu-vit_tiny_patch16_224", 32), ("smp:Unet:tu-swin_tiny_patch4_window7_224", 32)],
)
def test_an_encoder_of_one_size_takes_any(name, multiple):
    network, _ = build_network(name, 4, weights="none")
    assert network.size_multiple == multiple
    with torch.inference_mode():
        for size in ((64, 96), (75, 118)):
            assert network.eval()(torch.zeros(1, 3, *size))["out"].shape == (1, 4, *size)
    _, architecture, encoder = name.split(":")
    plain = getattr(smp, architecture)(encoder_name=encoder, encoder_weights=None, classes=4)
    plain.load_state_dict(network.state_dict(), strict=True)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(network(images)["out"], plain.eval()(images))


def test_an_encoder_that_takes_some_sizes_alone_is_refused():
    with pytest.raises(UserError, match=r"does not take images of any size .* must be divisible by window"):
        build_network("smp:Unet:tu-maxvit_tiny_rw_224", 4, weights="none")


def test_weights_of_dpt_fill_its_encoder(monkeypatch):
    name = "smp:DPT:tu-vit_tiny_patch16_224"
    torch.manual_seed(5)
    found = smp.DPT(encoder_name="tu-vit_tiny_patch16_224", encoder_weights=None)
    asked = []

    class Published(smp.DPT):
        def __new__(cls, encoder_name, encoder_weights):
            asked.append((encoder_name, encoder_weights))
            return found

    said, state = _imagenet(smp, name, type("DPT", (Published,), {}), "tu-vit_tiny_patch16_224")
    assert asked == [("tu-vit_tiny_patch16_224", "imagenet")]
    assert said == "the ImageNet weights of tu-vit_tiny_patch16_224"
    network, _ = build_network(name, 4, weights="none")
    assert state.keys() == {key for key in network.state_dict() if key.startswith("encoder.")}
