"""What is made of one photograph that was seen: maps, polygons, pictures."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import rws
from rws.data.classes import named_classes
from rws.look.named_regions import named_overlay
from rws.look.overlay import overlay
from rws.predict.inference import class_maps

NAMES = ("background", "cat", "cow <b>")


class Fixed(nn.Module):
    """Two stages; logits that follow the colours, so that the classes lie where the picture says."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.one = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(6, 6, 3, 2, 1), nn.ReLU())
        self.head = nn.Conv2d(6, 3, 1)
        for conv in (self.two[0], self.head):  # so that every class has something to look at
            conv.weight.data.abs_()

    def forward(self, images):
        deep = self.head(self.two(self.one(images)))
        return images + 1e-3 * nn.functional.interpolate(deep, images.shape[-2:], mode="bilinear")


@pytest.fixture(scope="module")
def seen():
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[...] = (255, 0, 0)
    pixels[5:30, 10:40] = (0, 255, 0)
    pixels[10:20, 15:25] = (255, 0, 0)  # a hole
    pixels[40:55, 50:70] = (0, 0, 255)
    return rws.load(Fixed(), classes=NAMES, base_size=60, device="cpu")(pixels)


def test_the_maps_of_a_class_are_those_of_its_pixels(seen):
    maps = seen.cam("cat")
    assert list(maps) == ["one", "two"]
    cat = seen.label == 1
    assert cat.sum() == 25 * 30 - 100
    found, own = class_maps(seen._predictor.network, seen._predictor.card, seen.image, seen.label, 1)
    found = found * torch.tensor(own)
    assert np.array_equal(own, cat)
    for stage, (name, plane) in enumerate(maps.items()):
        assert plane.shape == cat.shape
        assert plane.dtype == np.float32
        assert (plane[~cat] == 0).all()
        assert np.allclose(plane, found[stage]), name
    assert all(plane.max() > 0.1 for plane in maps.values())


def test_a_stage_misses_what_another_one_has(seen):
    maps, missing = seen.cam("cow <b>"), seen.missing("cow <b>")
    largest = np.maximum(maps["one"], maps["two"])
    assert all(np.array_equal(missing[name], largest - maps[name]) for name in ("one", "two"))
    assert any(plane.max() > 0.1 for plane in missing.values())


def test_at_another_size_than_the_networks_the_maps_keep_to_the_pixels_of_the_class():
    pixels = np.full((90, 120, 3), (255, 0, 0), np.uint8)
    pixels[20:60, 30:90] = (0, 255, 0)
    seen = rws.load(Fixed(), classes=NAMES, base_size=32, device="cpu")(pixels)
    for plane in seen.cam("cat").values():
        assert plane.shape == (90, 120)
        assert (plane[seen.label != 1] == 0).all()
        assert 0 <= plane.min() <= plane.max() <= 1


def test_classes_and_networks_without_maps_are_told(seen):
    with pytest.raises(rws.UserError, match=r"no class 'cta': did you mean 'cat'\?"):
        seen.cam("cta")
    with pytest.raises(rws.UserError, match="the classes are cat, cow"):
        seen.missing("background")
    blind = rws.load(Fixed(), classes=NAMES, base_size=32, stages=[], device="cpu")(seen.image)
    with pytest.raises(rws.UserError, match=r"^Fixed: it has no stages to look at"):
        blind.cam("cat")


def test_polygons_have_names_outlines_and_holes(seen):
    cat, cow = seen.polygons()
    assert (cat.name, cow.name) == ("cat", "cow <b>")
    assert cow.holes == ()
    (hole,) = cat.holes
    assert (hole.min(0).tolist(), hole.max(0).tolist()) == ([15, 10], [25, 20])
    exact = seen.polygons(tolerance=0)
    assert all(np.array_equal(region.pixels((60, 80)), seen.label == region.number) for region in exact)


def test_it_saves_what_predict_writes(seen, tmp_path):
    paths = seen.save(tmp_path / "out")
    assert paths == [tmp_path / "out/image.png", tmp_path / "out/image_overlay.jpg"]
    with Image.open(paths[0]) as label:
        assert np.array_equal(label, seen.label)
    with Image.open(paths[1]) as shown:
        assert shown.size == named_overlay(seen.image, seen.label, named_classes(NAMES)).size
    seen.save(tmp_path / "out", legend="none")
    with Image.open(paths[1]) as shown:
        assert shown.size == seen.image.size
    assert [path.name for path in seen.save(tmp_path, "b")] == ["b.png", "b_overlay.jpg"]
    (tmp_path / "file").touch()
    with pytest.raises(rws.UserError, match="file: the output is a file"):
        seen.save(tmp_path / "file")


def test_it_does_not_take_the_place_of_the_photograph(tmp_path):
    network = rws.load(Fixed(), classes=NAMES, base_size=60, normalisation=((0,) * 3, (1,) * 3), device="cpu")
    path = tmp_path / "a.png"
    Image.new("RGB", (80, 60), (255, 0, 0)).save(path)
    before = path.read_bytes()
    with pytest.raises(rws.UserError, match=r"a\.png: the result would overwrite this input"):
        network(path).save(tmp_path)
    for frame in network.film(tmp_path):
        with pytest.raises(rws.UserError, match="would overwrite"):
            frame.save(tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in network(path).save(tmp_path, "b")] == ["b.png", "b_overlay.jpg"]
    with pytest.raises(rws.UserError, match="legend 'foo': must be one of strip, none"):
        network(path).save(tmp_path, "c", legend="foo")


def test_the_overlay_is_that_of_predict(seen):
    expected = overlay(seen.image, seen.label, named_classes(NAMES), 0.3)
    assert np.array_equal(np.asarray(seen.overlay(0.3)), np.asarray(expected))


def test_it_shows_itself_in_a_notebook(seen):
    with Image.open(io.BytesIO(seen._repr_png_())) as shown:
        assert shown.size == (80, 60)
    page = seen._repr_html_()
    assert page.startswith('<img src="data:image/jpeg;base64,')
    assert "cow &lt;b&gt; 6.2%" in page
    assert "cat 13.5%" in page
    assert page.index("background") < page.index("cat 13.5%") < page.index("cow")
    assert repr(seen) == "<Seen image, 80 x 60: background 80.2%, cat 13.5%, cow <b> 6.2%>"


def test_a_large_photograph_is_shown_small():
    seen = rws.load(Fixed(), classes=NAMES, base_size=32, device="cpu")(np.zeros((900, 1200, 3), np.uint8))
    with Image.open(io.BytesIO(seen._repr_png_())) as shown:
        assert shown.size == (800, 600)
