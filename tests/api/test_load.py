"""`rws.load` and what comes back of a photograph: every kind of source, every way, and what is refused."""

import copy
import io
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from films import encode
from PIL import Image
from published import LIGHT, publish
from tiny import STAGES, TINY, same_tensors
from torch import nn

import rws
from rws.data.classes import DEMO
from rws.method.look_again import look_again
from rws.predict.film_look import FilmLook
from rws.predict.inference import predict_label, predict_logits
from rws.predict.ways import LookAgain
from rws.runs.model_file import Card, load_trained, save_trained

pytestmark = pytest.mark.usefixtures("tiny_family")
HEIGHT, WIDTH = 50, 70


def picture(seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def lively(num_classes: int) -> nn.Module:
    """A tiny network that predicts several classes in any image."""
    torch.manual_seed(4)
    network = TINY.build(num_classes, False)
    nn.init.normal_(network.classifier[1].weight, std=2.0)
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(tiny_family, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.pt"
    save_trained(path, lively(DEMO.num_classes), Card("tiny", False, STAGES, DEMO, base_size=32))
    return path


@pytest.fixture(scope="module")
def net(checkpoint) -> "rws.api.network.Network":
    return rws.load(checkpoint, device="cpu")


@pytest.mark.parametrize(
    ("what", "options", "said"),
    [
        (None, {}, "a NoneType is no network"),
        (5, {}, "a int is no network"),
        ("net", {"stages": "c2"}, "stages 'c2': needed is a list of names"),
        ("net", {"classes": 3}, "classes 3: needed is a list of names"),
        ("net", {"base_size": "64"}, "base_size '64': needed is a number of pixels"),
        ("net", {"base_size": 64.5}, "base_size 64.5: needed is a number of pixels"),
    ],
)
def test_wrong_arguments_are_told(checkpoint, what, options, said):
    with pytest.raises(rws.UserError, match=said):
        rws.load(checkpoint if what == "net" else what, device="cpu", **options)


def test_frames_of_more_bits_are_read_in_the_range_of_the_network(checkpoint, tmp_path):
    network, card = load_trained(checkpoint)
    save_trained(tmp_path / "deep.pt", network, replace(card, levels=(0.0, 4095.0)))
    values = np.linspace(0, 1023, HEIGHT * WIDTH).astype(np.uint16).reshape(HEIGHT, WIDTH)
    (tmp_path / "film").mkdir()
    Image.fromarray(values).save(tmp_path / "film/0.png")
    deep = rws.load(tmp_path / "deep.pt", device="cpu")
    (frame,) = deep.film(tmp_path / "film")
    assert np.array_equal(np.asarray(frame.image), np.asarray(deep(tmp_path / "film/0.png").image))
    assert np.asarray(frame.image).max() == 64


def test_an_opened_image_in_colours_of_16_bits_is_read_as_its_file_is(checkpoint, net, tmp_path):
    network, card = load_trained(checkpoint)
    save_trained(tmp_path / "deep.pt", network, replace(card, levels=(0.0, 4095.0)))
    values = np.linspace(0, 4095, HEIGHT * WIDTH * 3).astype(np.uint16).reshape(HEIGHT, WIDTH, 3)
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), values)
    deep = rws.load(tmp_path / "deep.pt", device="cpu")
    seen = np.asarray(deep(Image.open(path)).image)
    assert np.array_equal(seen, np.asarray(deep(path).image))
    assert seen.max() == 255
    with pytest.raises(rws.UserError, match="colours of 16 bits, which Pillow cuts to 8: give the path"):
        net(Image.open(io.BytesIO(path.read_bytes())))


def test_a_checkpoint_sees_a_photograph_as_predict_does(net, checkpoint, tmp_path):
    picture().save(tmp_path / "a.png")
    seen = net(tmp_path / "a.png")
    network, card = load_trained(checkpoint)
    assert np.array_equal(seen.label, predict_label(network, card, picture()))
    assert len(np.unique(seen.label)) > 2
    expected = predict_logits(network, card, picture()).softmax(0).numpy()
    assert seen.probabilities.dtype == np.float32
    assert np.allclose(seen.probabilities, expected, atol=1e-5)
    assert np.allclose(seen.probabilities.sum(0), 1, atol=1e-5)
    assert (seen.classes, net.classes, net.stages) == (DEMO.names, DEMO.names, STAGES)
    assert (seen.name, seen.image.size, seen.time) == ("a", (WIDTH, HEIGHT), None)


SOURCES = {
    "PIL": lambda image: image,
    "RGBA": lambda image: image.convert("RGBA"),
    "array": np.asarray,
    "array with strides": lambda image: np.asarray(image)[:, ::-1].copy()[:, ::-1],
    "tensor of bytes": lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1),
    "tensor in [0, 1]": lambda image: torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255,
    "tensor with a gradient": lambda image: (
        torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
    ).requires_grad_(),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_every_kind_of_image_is_the_same(net, kind):
    seen = net(SOURCES[kind](picture()))
    assert np.array_equal(np.asarray(seen.image), np.asarray(picture()))
    assert np.array_equal(seen.label, net(picture()).label)


def test_a_list_gives_a_list_under_names_of_its_own(net, tmp_path):
    picture(1).save(tmp_path / "b.png")
    found = net([picture(0), str(tmp_path / "b.png"), np.asarray(picture(2))])
    assert [seen.name for seen in found] == ["image_0", "b", "image_2"]
    for seed, seen in enumerate(found):
        assert np.array_equal(seen.label, net(picture(seed)).label)
    assert net([]) == []


@pytest.mark.parametrize("tta", ["flip", "ms_flip", "quarters", "quarters_flip"])
def test_several_ways_are_those_of_predict(net, checkpoint, tta):
    network, card = load_trained(checkpoint)
    seen = net(picture(), ways=tta)
    assert np.array_equal(seen.label, predict_label(network, card, picture(), tta))
    expected = predict_logits(network, card, picture(), tta).softmax(0).numpy()
    assert np.allclose(seen.probabilities, expected, atol=1e-5)


def test_looking_again_shares_its_passes_out_over_a_list(net, checkpoint):
    network, card = load_trained(checkpoint)
    expected = look_again(network, card, picture(), LookAgain(4.0))
    seen = net(picture(), ways="rws", passes=4)
    assert np.array_equal(seen.label, expected.label())
    assert np.allclose(seen.probabilities, expected.probabilities().numpy(), atol=1e-6)
    sizes = []
    hook = net.module.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    net([picture(seed) for seed in range(5)], ways="rws", passes=3)
    hook.remove()
    assert 5 < sum(sizes) <= 15


REFUSED = {
    "grey": (np.zeros((4, 5), np.uint8), r"an array \(4, 5\) of uint8: needed is \(H, W, 3\)"),
    "floats": (np.zeros((4, 5, 3)), r"an array \(4, 5, 3\) of float64"),
    "a batch": (torch.zeros(2, 3, 4, 5), r"is a batch: give list\(batch\)"),
    "channels last": (torch.zeros(4, 5, 3), r"needed is one image \(3, H, W\)"),
    "normalised": (torch.full((3, 4, 5), -2.0), r"values -2 to -2: needed is \[0, 1\]"),
    "not a number": (torch.full((3, 4, 5), float("nan")), "needed is"),
    "integers": (torch.zeros(3, 4, 5, dtype=torch.long), r"a tensor of torch\.int64"),
    "a number": (3, "a int is no image: give a path"),
    "no file": ("gone.jpg", r"gone\.jpg: image cannot be decoded \(there is no such file\); check the path"),
    "a folder": (".", r"\.: image cannot be decoded \(it is a folder\); give the files in it"),
    "a strip": (np.zeros((3, 400, 3), np.uint8), "image: 400 x 3 pixels: longer than"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_image_is_told(net, case):
    source, said = REFUSED[case]
    with pytest.raises(rws.UserError, match=said):
        net(source)


def test_unknown_ways_and_passes_are_told(net):
    with pytest.raises(rws.UserError, match="ways 'twice': must be one of none, flip"):
        net(picture(), ways="twice")
    with pytest.raises(rws.UserError, match=r"^passes 99: must be 1 to 26"):
        net(picture(), ways="rws", passes=99)
    with pytest.raises(rws.UserError, match=r"^passes '3': must be a number from 1 to 26"):
        net(picture(), ways="rws", passes="3")
    with pytest.raises(rws.UserError, match=r"^passes 3: only ways='rws' shares out passes, not 'flip'"):
        net(picture(), ways="flip", passes=3)
    with pytest.raises(rws.UserError, match="ways 'twice'"):
        net.film("gone.mp4", ways="twice")


def test_a_film_frame_by_frame(net, tmp_path):
    frames = [picture(seed).resize((64, 48)) for seed in range(3)]
    encode(tmp_path / "f.mp4", frames, rate=10)
    found = list(net.film(tmp_path / "f.mp4"))
    assert [seen.time for seen in found] == pytest.approx([0, 0.1, 0.2])
    assert [seen.name for seen in found] == ["f_000000", "f_000001", "f_000002"]
    assert all(np.array_equal(seen.label, net(seen.image).label) for seen in found)
    for number, frame in enumerate(frames):
        frame.save(tmp_path / f"{number}.png")
    (tmp_path / "f.mp4").unlink()
    again = list(net.film(tmp_path))
    assert [np.array_equal(seen.label, net(frame).label) for seen, frame in zip(again, frames)] == [True] * 3


def test_a_film_is_looked_at_again_as_predict_does(net, tmp_path):
    frames = [picture(seed).resize((64, 48)) for seed in range(3)]
    for number, frame in enumerate(frames):
        frame.save(tmp_path / f"{number}.png")
    look = FilmLook(LookAgain(2.0))
    expected = [look(net.module, net._predictor.card, frame).label() for frame in frames]
    found = [seen.label for seen in net.film(tmp_path, ways="rws", passes=2)]
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("name", "said"), [("a.png", "is no film but a photograph"), ("gone", "no such film")]
)
def test_what_is_no_film_is_told_at_once(net, tmp_path, name, said):
    picture().save(tmp_path / "a.png")
    with pytest.raises(rws.UserError, match=said):
        net.film(tmp_path / name)


def test_a_published_network_by_its_name(tmp_path, monkeypatch):
    publish(LIGHT, tmp_path / f"weights/{LIGHT}_coco.pth", monkeypatch)
    monkeypatch.chdir(tmp_path)
    net = rws.load(LIGHT, device="cpu", base_size=64)
    assert net.classes[8] == "cat"
    assert net(picture()).probabilities.shape == (21, HEIGHT, WIDTH)
    assert repr(net) == f"<Network {LIGHT}: 21 classes (background, aeroplane, bicycle, bird, ...)>"


class Bare(nn.Sequential):
    """Logits at a quarter of the size, bare, and sides that must be multiples of 4."""

    def __init__(self, num_classes: int):
        body = nn.PixelUnshuffle(4), nn.Conv2d(48, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU()
        super().__init__(*body, nn.Conv2d(8, num_classes, 1))


def test_any_module_is_copied_and_left_as_it_is():
    torch.manual_seed(0)
    module = Bare(3).train()
    state, kind = copy.deepcopy(module.state_dict()), type(module)
    net = rws.load(module, classes=["background", "cat", "cow"], base_size=48, device="cpu")
    seen = net(picture())
    assert seen.classes == ("background", "cat", "cow")
    assert seen.probabilities.shape == (3, HEIGHT, WIDTH)
    assert module.training
    assert type(module) is kind
    assert same_tensors(module.state_dict(), state)
    nn.init.zeros_(module[5].weight)
    assert np.array_equal(net(picture()).label, seen.label), "what is trained on does not change the copy"
    assert rws.load(module, device="cpu").classes == ("0", "1", "2")


def test_a_module_that_was_loaded_is_loaded_again():
    once = rws.load(Bare(3), base_size=48, device="cpu")
    twice = rws.load(once.module, base_size=48, device="cpu")
    assert np.array_equal(twice(picture()).label, once(picture()).label)


def test_normalisation_and_size_of_a_module_are_those_given():
    class Mean(nn.Module):
        """Logits: the image's own channels and a parameter."""

        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, images):
            shapes.append(tuple(images.shape))
            return images * self.scale

    image, shapes = Image.new("RGB", (40, 30), (255, 0, 51)), []
    net = rws.load(
        Mean(), base_size=20, normalisation=((0.5, 0.5, 0.2), (0.5, 0.25, 0.5)), stages=[], device="cpu"
    )
    shapes.clear()
    seen = net(image)
    assert shapes == [(1, 3, 20, 26)]
    assert np.allclose(seen.probabilities[:, 3, 3], torch.tensor([1.0, -2.0, 0.0]).softmax(0), atol=1e-5)
    shapes.clear()
    plain = rws.load(Mean(), device="cpu")(image)
    assert shapes[-1] == (1, 3, 520, 693)
    normal = (torch.tensor([1, 0, 0.2]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    assert np.allclose(plain.probabilities[:, 3, 3], normal.softmax(0), atol=1e-5)


def test_python_is_told_of_arguments_and_not_of_flags(checkpoint, capsys):
    with pytest.raises(rws.UserError, match=r"^backend foo: must be one of torch"):
        rws.load(checkpoint, backend="foo")
    with pytest.raises(rws.UserError, match=r"^device cuda: needs torch"):
        rws.load(checkpoint, backend="openvino", device="cuda")
    rws.load(nn.DataParallel(Bare(3)), device="cpu")
    assert "note: DataParallel: taken out of DataParallel" in capsys.readouterr().out


def test_what_cannot_be_loaded_is_told(checkpoint, tmp_path):
    for what, options, said in (
        (Bare(3), {"classes": ["a", "b"]}, "classes: 2 names for the 3 of Bare"),
        (Bare(2), {"classes": ["a", "a"]}, "classes: 'a' stands there twice"),
        (Bare(3), {"classes": "abc"}, "classes 'abc': needed is a list of names"),
        (Bare(2), {"normalisation": (0.5, 0.5, 0.5)}, "normalisation (0.5, 0.5, 0.5): needed is (mean, std)"),
        (Bare(2), {"normalisation": ((0,) * 3, (0,) * 3)}, "three numbers each, std above 0"),
        (nn.Linear(3, 2), {}, r"^Linear: the network takes no image \(1, 3, H, W\)"),
        (checkpoint, {"normalisation": ((0,) * 3, (1,) * 3)}, "normalisation: is for a torch.nn.Module"),
        (checkpoint, {"device": "warp"}, "device 'warp' cannot be used"),
        (tmp_path / "gone.pt", {}, "gone.pt: no such checkpoint"),
        ("deeplabv3_resnet", {}, "did you mean deeplabv3_resnet50?"),
    ):
        with pytest.raises(rws.UserError) as error:
            rws.load(what, **options)
        assert said.strip("^").replace("\\", "") in str(error.value)
