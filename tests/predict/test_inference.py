"""Prediction against torchvision's plain class and plain definitions of its augmentations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from peer import EachLayer, Logits, class_sum
from PIL import Image, ImageOps
from torch import nn
from torchvision.models.segmentation import deeplabv3_resnet50

from rws.core import labels
from rws.data.classes import DEMO
from rws.errors import UserError
from rws.models import FAMILIES, build_network
from rws.predict import inference
from rws.predict.images import find_images, open_image, result_stems
from rws.predict.inference import class_maps, maps_at_own_size, predict_label, predict_logits
from rws.predict.tta import TTA_MULTIPLE, TTA_SCALES
from rws.predict.ways import TTA
from rws.runs.model_file import Card, load_trained, save_trained

LIGHT = "deeplabv3_efficientnet_lite0"
ODD_SIZES = [(375, 500), (333, 500), (97, 131)]  # height, width


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def card_of(name: str, base_size: int) -> Card:
    return Card(name, aux=True, stages=FAMILIES[name].stages, classes=DEMO, base_size=base_size)


@pytest.fixture(scope="module")
def light() -> tuple[nn.Module, Card]:
    torch.manual_seed(0)
    network, _ = build_network(LIGHT, DEMO.num_classes, weights="none")
    # Without statistics of its own the untrained network answers every pixel alike.
    network.train()(torch.randn(4, 3, 64, 64))
    return network.eval(), card_of(LIGHT, 64)


def test_plain_prediction_is_torchvisions_own(tmp_path):
    torch.manual_seed(1)
    network, _ = build_network("deeplabv3_resnet50", DEMO.num_classes, weights="none")
    save_trained(tmp_path / "best.pt", network, card_of("deeplabv3_resnet50", 65))
    loaded, card = load_trained(tmp_path / "best.pt")
    plain = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=DEMO.num_classes, aux_loss=True
    )
    plain.load_state_dict(loaded.state_dict(), strict=True)
    image = photo(97, 131)
    got = predict_logits(loaded, card, image)
    with torch.inference_mode():
        own = plain.eval()(inference.network_input(card, image))["out"]
        want = F.interpolate(own, (97, 131), mode="bilinear", align_corners=False)[0]
    assert torch.equal(got, want)


@pytest.mark.parametrize("tta", TTA)
@pytest.mark.parametrize("size", ODD_SIZES)
def test_own_size_and_probabilities(light, tta, size):
    logits = predict_logits(*light, photo(*size), tta)
    assert logits.shape == (DEMO.num_classes, *size)
    assert logits.isfinite().all()
    if tta != "none":
        torch.testing.assert_close(logits.exp().sum(0), torch.ones(size), atol=1e-5, rtol=0)
    label = predict_label(*light, photo(*size), tta)
    assert label.dtype == np.uint8
    assert np.array_equal(label, logits.argmax(0).numpy())


@pytest.mark.parametrize("at_once", [1, 2, 4, 100])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_classes_in_parts_give_the_same_label(monkeypatch, at_once, layout):
    generator = torch.Generator().manual_seed(0)
    # Few values, so that many pixels have two classes that are exactly equal.
    scores = torch.randint(0, 3, (1, 7, 6, 8), generator=generator).float().to(memory_format=layout)
    monkeypatch.setattr(labels, "VALUES_AT_ONCE", at_once * 13 * 17)
    for size in ((6, 8), (13, 17)):
        full = F.interpolate(scores, size, mode="bilinear", align_corners=False)[0].numpy()
        assert np.array_equal(labels.likeliest(scores, size).numpy(), full.argmax(0))


def test_flip_is_the_mean_of_both_sides(light):
    network, card = light
    images = inference.network_input(card, photo(64, 91))
    with torch.inference_mode():
        here = network(images)["out"].softmax(1)
        there = network(images.flip(3))["out"].softmax(1).flip(3)
        want = ((here + there) / 2)[0]
    got = predict_logits(network, card, photo(64, 91), "flip").exp()
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("tta", "width"), [("flip", 91), ("flip", 92), ("ms_flip", 92), ("ms_flip", 90)])
def test_mirrored_input_mirrors_the_output(light, tta, width):
    image = photo(64, width)
    straight = predict_logits(*light, image, tta)
    mirrored = predict_logits(*light, ImageOps.mirror(image), tta)
    torch.testing.assert_close(mirrored.flip(2), straight, atol=1e-4, rtol=1e-4)
    plain = predict_logits(*light, image), predict_logits(*light, ImageOps.mirror(image)).flip(2)
    assert not torch.allclose(*plain, atol=1e-4, rtol=1e-4), "the network alone must not be symmetric"


def test_multi_scale_is_the_mean_over_scales_and_flips(light):
    network, card = light
    images = inference.network_input(card, photo(64, 92))
    found = []
    with torch.inference_mode():
        for scale in TTA_SCALES:
            small = images
            if scale != 1:
                size = int(64 * scale), int(92 * scale)
                small = F.interpolate(images, size, mode="bilinear", align_corners=False)
            for flipped in (False, True):
                p = network(small.flip(3) if flipped else small)["out"].softmax(1)
                p = p.flip(3) if flipped else p
                found.append(F.interpolate(p, (64, 92), mode="bilinear", align_corners=False))
    got = predict_logits(network, card, photo(64, 92), "ms_flip").exp()
    torch.testing.assert_close(got, torch.stack(found).mean(0)[0], atol=1e-5, rtol=1e-4)


def test_ttach_scale_survives_every_padded_side():
    sides = range(TTA_MULTIPLE, 8000, TTA_MULTIPLE)
    assert all(
        int(int(side * s) * (1 / s)) == side == int(side * s) / s for side in sides for s in TTA_SCALES
    )


def ramp(length: int, from_the_left: bool) -> np.ndarray:
    """1, and towards one end over a fifth of the length linearly to 0."""
    weights = np.array([min(1, (place + 0.5) / (0.2 * length)) for place in range(length)])
    return weights if from_the_left else weights[::-1]


@pytest.mark.parametrize("size", [(64, 92), (75, 101), (300, 210)])
def test_quarters_are_the_mean_of_the_whole_and_the_enlarged_quarters_of_each_pixel(light, size):
    network, card = light
    image = photo(*size)
    images = inference.network_input(card, image, "quarters")
    h, w = images.shape[-2:]
    assert torch.equal(images[:1], inference.network_input(card, image))
    assert min(h, w) == 64
    with torch.inference_mode():
        whole, *parts = (network(each[None])["out"].softmax(1)[0] for each in images)
    large = round(h / 0.55), round(w / 0.55)
    want = F.interpolate(whole[None], large, mode="bilinear", align_corners=False)[0]
    total, weight = torch.zeros_like(want), torch.zeros(large)
    for number, part in enumerate(parts):
        low, right = divmod(number, 2)
        y, x = low * (large[0] - h), right * (large[1] - w)
        own = torch.from_numpy(np.outer(ramp(h, low == 1), ramp(w, right == 1))).float()
        total[:, y : y + h, x : x + w] += own * part
        weight[y : y + h, x : x + w] += own
    assert weight.min() > 0.8, "quarters lie everywhere"
    share = weight.clamp_max(1) / 2
    want = (1 - share) * want + share * total / weight
    want = F.interpolate(want[None], size, mode="bilinear", align_corners=False)[0]
    got = predict_logits(network, card, image, "quarters").exp()
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)
    assert np.array_equal(predict_label(network, card, image, "quarters"), got.argmax(0).numpy())


def test_mirrored_quarters_are_the_mean_of_the_image_and_its_mirror_image(light):
    network, card = light
    image = photo(64, 96)
    straight = predict_logits(network, card, image, "quarters").exp()
    mirrored = predict_logits(network, card, ImageOps.mirror(image), "quarters").exp().flip(2)
    got = predict_logits(network, card, image, "quarters_flip").exp()
    torch.testing.assert_close(got, (straight + mirrored) / 2, atol=1e-5, rtol=1e-3)
    assert not torch.allclose(straight, mirrored, atol=1e-4)


def test_quarters_must_be_there(light):
    network, card = light
    with pytest.raises(ValueError, match="quarters needs what with_quarters makes"):
        inference.probabilities(network, inference.network_input(card, photo(64, 91)), "quarters")


def test_quarters_lie_where_they_were_cut_and_show_what_the_whole_has_lost(light):
    _, card = light
    image = Image.fromarray(np.zeros((256, 384, 3), np.uint8))
    image.putpixel((300, 40), (255, 255, 255))  # upper right; the input has a quarter of these pixels a side
    images = inference.network_input(card, image, "quarters")
    bright = images - images[1, :, :1, :1]  # the first quarter is black
    strength = bright.flatten(1).amax(1)
    assert strength[2] > 2 * strength[0] > 0
    assert strength[[1, 3, 4]].max() == 0
    y, x = divmod(int(bright[2, 0].argmax()), images.shape[-1])
    assert abs(y - 40 / 256 * 64 / 0.55) <= 1
    assert abs(x - (300 / 384 - 0.45) * 96 / 0.55) <= 1


def test_unknown_tta_is_named(light):
    with pytest.raises(
        UserError, match="'rotate': must be one of none, flip, ms_flip, quarters, quarters_flip"
    ):
        predict_logits(*light, photo(9, 9), "rotate")


def test_strip_is_refused_before_it_fills_the_memory(light):
    with pytest.raises(UserError, match="4000 x 10 pixels"):
        predict_logits(*light, photo(10, 4000))


def test_maps_are_those_of_the_class_alone_unless_the_whole_is_asked_for(light):
    label = np.zeros((70, 80), np.uint8)
    label[20:50, 10:60] = 2
    maps, own = class_maps(*light, photo(70, 80), label, 2)
    assert maps.shape == (4, 64, 73)
    assert own.shape == (64, 73)
    assert own.mean() == pytest.approx((label == 2).mean(), abs=0.02)
    alone = maps_at_own_size(*light, photo(70, 80), label, 2).numpy()
    whole = maps_at_own_size(*light, photo(70, 80), label, 2, whole=True).numpy()
    assert alone.shape == whole.shape == (4, 70, 80)
    assert not alone[:, label != 2].any()
    assert np.array_equal(alone[:, label == 2], whole[:, label == 2])
    assert (whole[[0, -1]][:, label != 2].max(1) > 0.1).all()
    empty, none = class_maps(*light, photo(70, 80), label, 3)
    assert not empty.any()
    assert not none.any()


def test_the_map_over_the_whole_photograph_is_that_of_pytorch_grad_cam(light):
    network, card = light
    label = np.zeros((64, 90), np.uint8)
    label[20:50, 10:60] = 2
    got = maps_at_own_size(network, card, photo(64, 90), label, 2, whole=True)
    images = inference.network_input(card, photo(64, 90)).requires_grad_()
    layers = [network.get_submodule(name) for name in card.stages]
    with EachLayer(Logits(network), layers) as peer:
        want = peer(images, [class_sum(2, torch.from_numpy(label))])[0]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    assert (got[[0, -1]].amax((1, 2)) > 0.5).all(), "untrained stages may show nothing"


def test_camera_orientation_is_applied(tmp_path, light):
    image = photo(40, 60)
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)
    opened = open_image(tmp_path / "turned.png")
    assert opened.size == (40, 60)
    assert np.array_equal(np.asarray(opened), np.rot90(np.asarray(image), -1))
    raw = Image.open(tmp_path / "turned.png")
    assert torch.equal(predict_logits(*light, raw), predict_logits(*light, opened))


def test_sixteen_bit_grey_keeps_its_shades(tmp_path):
    values = np.array([[0, 256 * 100, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "deep.png")
    assert np.asarray(open_image(tmp_path / "deep.png"))[0, :, 0].tolist() == [0, 100, 255]


def test_floats_are_0_to_1_or_their_range_is_not_known(tmp_path, capsys):
    Image.fromarray(np.array([[0, 0.5, 1]], np.float32)).save(tmp_path / "f.tif")
    assert np.asarray(open_image(tmp_path / "f.tif"))[0, :, 0].tolist() == [0, 128, 255]
    assert "f.tif: more than 8 bits; its values 0..1 become black to white" in capsys.readouterr().out
    Image.fromarray(np.array([[0, 20]], np.float32)).save(tmp_path / "f.tif")
    with pytest.raises(
        UserError, match=r"f\.tif: .*values are 0\.\.20, and which is white is not known; save"
    ):
        open_image(tmp_path / "f.tif")
    assert np.asarray(open_image(tmp_path / "f.tif", (-20, 20)))[0, :, 0].tolist() == [128, 255]


def test_folder_is_searched_and_nothing_left_out_silently(tmp_path):
    for name in ("b.JPG", "a.png", "deep/er/c.webp", "notes.txt", "out/a.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    images, notes = find_images([tmp_path], tmp_path / "out")
    assert [path.relative_to(tmp_path).as_posix() for path in images] == ["a.png", "b.JPG", "deep/er/c.webp"]
    assert "1 files in the output folder" in notes[0]
    assert "(endings .txt)" in notes[1]


def test_results_never_share_a_name(tmp_path):
    names = ["a.jpg", "a.png", "b.jpg", "c.v2.jpg", "d.jpg", "d_cam.jpg", "sub/b.jpg"]
    images = [tmp_path / name for name in names]
    endings = (".png", "_overlay.jpg", "_cam.png")
    stems = result_stems(images, [tmp_path], endings)
    assert [stems[path].as_posix() for path in images] == [
        *("a.jpg", "a.png", "b", "c.v2", "d.jpg", "d_cam.jpg", "sub/b")
    ]
    results = [f"{stem}{ending}" for stem in stems.values() for ending in endings]
    assert len(set(results)) == len(results)
