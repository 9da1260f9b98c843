"""`predict.py photo.jpg`: a published network by its name, one of one's own, and several sources at once."""

from pathlib import Path

import numpy as np
import pytest
from films import encode, opencv_frames
from PIL import Image
from published import LIGHT, publish
from tiny import load_script

from rws.data.classes import VOC2012
from rws.predict.flags import DEFAULT_NETWORK
from rws.predict.inference import predict_label
from rws.runs.open_network import open_network
from rws.runs.published import PUBLISHED

predict = load_script("predict")


def photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    Image.fromarray(small).resize((75, 60), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working directory, where the light network's weights lie in weights/."""
    publish(LIGHT, tmp_path / f"weights/{LIGHT}_coco.pth", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_the_network_that_is_taken_where_none_is_named_is_published():
    assert DEFAULT_NETWORK in PUBLISHED


def test_a_photograph_by_a_published_network(here, capsys):
    photo(here / "a.png")
    assert predict.main(["a.png", "--model", LIGHT, "--cam", "cat", "--device", "cpu"]) == 0
    assert files(here / "seen") == ["a.png", "a_cam.png", "a_overlay.jpg"]
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 images predicted, in seen"
    network, card = open_network(LIGHT)
    with Image.open(here / "seen/a.png") as found, Image.open(here / "a.png") as image:
        assert np.array_equal(found, predict_label(network, card, image))
        assert found.getpalette("RGB")[: 3 * 21] == [level for colour in VOC2012.palette for level in colour]


def test_looking_again_and_a_comparison_take_the_same_names(here):
    (here / "mine.py").write_text(
        "from torch import nn\n"
        "def net(n): return nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.ReLU(), nn.Conv2d(4, n, 3, 2, 1))\n"
        "classes = ['background', 'cow']\n"
    )
    photo(here / "a.png")
    assert predict.main(["a.png", "--model", "mine:net", "--ways", "rws", "--output", "again"]) == 0
    assert files(here / "again") == ["a.png", "a_overlay.jpg"]
    assert predict.main(["a.png", "--compare", LIGHT, "mine:net"]) == 0
    assert files(here / "seen") == ["a_compare.jpg"]


def test_a_film_by_a_published_network(here):
    frames = [Image.open(photo(here / "frames" / f"{n}.png", n)) for n in range(2)]
    encode(here / "a.mp4", [frame.resize((76, 60)) for frame in frames])
    assert predict.main(["a.mp4", "--model", LIGHT]) == 0
    assert len(opencv_frames(here / "seen/a.mp4")) == 2


def test_several_sources(here):
    for place in ("a.png", "in/a.png", "in/deep/b.png", "other/a.png"):
        photo(here / place)
    assert predict.main(["a.png", "in", "other/a.png", "in/a.png", "--model", LIGHT]) == 0
    stems = ("a", "in/a", "in/deep/b", "other/a")
    assert files(here / "seen") == sorted(
        f"{stem}{end}" for stem in stems for end in (".png", "_overlay.jpg")
    )
    assert predict.main(["in/a.png", "in/deep/b.png", "--model", LIGHT, "--output", "one"]) == 0
    assert files(here / "one") == ["a.png", "a_overlay.jpg", "deep/b.png", "deep/b_overlay.jpg"]


def test_sources_that_do_not_go_together(here, capsys):
    photo(here / "a.png")
    for folder in ("x", "y"):
        encode(here / folder / "f.mp4", [Image.open(here / "a.png").resize((76, 60))])
    for sources, said in (
        (["a.png", "x/f.mp4"], "a.png: is no film, others are"),
        (["x/f.mp4", "y/f.mp4"], "seen/f.mp4: two films would both be written there"),
        (["a.png", "gone.png"], "gone.png: no such image, folder or film"),
    ):
        assert predict.main([*sources, "--model", LIGHT]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {said}")
    assert not (here / "seen").exists()


def test_a_name_that_nothing_has(here, capsys):
    photo(here / "a.png")
    assert predict.main(["a.png", "--model", "deeplabv3_resnet5"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "did you mean deeplabv3_resnet50?" in line
