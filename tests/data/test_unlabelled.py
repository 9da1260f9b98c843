"""Photographs without labels: which they are, what is refused, and that a target moves with its image."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from rws.data.classes import ClassSet
from rws.data.sets.voc import VocLayout
from rws.data.split import Split
from rws.data.targets import TaughtViews, decoded, encoded, planes_of
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.unlabelled import check_photographs, photographs_in, share_of, with_share, without_labelled
from rws.data.views import TrainViews, View, train_loader
from rws.errors import UserError

THREE = ClassSet(("background", "cat", "dog"), ((0, 0, 0), (200, 0, 0), (0, 200, 0)), background=0)
PLAIN = Normalisation((0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def train(voc) -> Split:
    return VocLayout(voc.root, "train", THREE)


def photograph(folder, name: str, value: int, size=(12, 16)):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.png"
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    ("share", "taken"), [(0.25, "aei"), (0.5, "acegi"), (0.1, "a"), (1.0, "abcdefghij"), (0.3, "aeh")]
)
def test_a_share_is_spread_evenly_over_the_ids_in_order_and_keeps_the_lists_order(share, taken):
    assert share_of("abcdefghij", share) == list(taken)
    assert share_of("jihgfedcba", share) == list(reversed(taken))


def test_what_the_share_leaves_out_are_photographs(train):
    used, rest = with_share(train, 0.5)
    assert (used.ids, rest.ids) == (["a", "c"], ["b"])
    assert train.ids == ["a", "b", "c"]
    assert rest.image("b").size == (8, 6)


def test_the_photographs_of_a_folder(train, tmp_path):
    for name in ("two", "one"):
        photograph(tmp_path / "more", name, 9)
    (tmp_path / "more/notes.txt").write_text("no photograph")
    found = photographs_in(tmp_path / "more", train)
    assert found.ids == ["one", "two"]
    assert found.image("one").size == (16, 12)


def test_a_folder_that_is_missing_or_holds_none(train, tmp_path):
    with pytest.raises(UserError, match=r"^data\.unlabelled .*/more: no such folder; "):
        photographs_in(tmp_path / "more", train)
    (tmp_path / "more").mkdir()
    with pytest.raises(UserError, match=r"^data\.unlabelled .*/more: holds no image .*; give a folder"):
        photographs_in(tmp_path / "more", train)


def test_photographs_that_are_training_images_are_left_out(train, tmp_path, capsys):
    photograph(tmp_path / "more", "new", 9)
    for copy in ("one.jpg", "two.jpg"):
        shutil.copy(train.image_path("a"), tmp_path / "more" / copy)
    left = without_labelled(photographs_in(tmp_path / "more", train), train)
    assert left.ids == ["new"]
    assert "2 photographs are training images and left out" in capsys.readouterr().out
    (tmp_path / "more/new.png").unlink()
    with pytest.raises(UserError, match="all 2 photographs are training images"):
        without_labelled(photographs_in(tmp_path / "more", train), train)


def test_a_photograph_that_is_a_validation_image_is_refused(train, voc, tmp_path):
    voc.pair("c", 2, size=(7, 9))  # of other bytes than a and b
    voc.list("val", "bc")
    val = VocLayout(voc.root, "val", THREE)
    photograph(tmp_path / "more", "new", 9)
    photographs = photographs_in(tmp_path / "more", train)
    check_photographs(photographs, val)
    shutil.copy(val.image_path("c"), tmp_path / "more/of_c.jpg")
    photographs = photographs_in(tmp_path / "more", train)
    with pytest.raises(
        UserError, match=r"1 images of val are in data\.unlabelled too, byte for byte: of_c = c"
    ):
        check_photographs(photographs, val)
    check_photographs(photographs, val, allow_leak=True)


def test_two_photographs_of_one_name_are_refused(train, tmp_path):
    photograph(tmp_path / "more", "new", 9)
    Image.new("RGB", (9, 9)).save(tmp_path / "more/new.jpg")
    with pytest.raises(UserError, match=r"two files are named new, new\.jpg and new\.png; rename one"):
        photographs_in(tmp_path / "more", train)


def test_a_strip_is_refused_before_anything_is_trained(train, tmp_path):
    photograph(tmp_path / "more", "new", 9)
    Image.new("RGB", (340, 20)).save(tmp_path / "more/strip.png")
    with pytest.raises(UserError, match=r"strip\.png: 340 x 20 pixels: longer than 16 times"):
        check_photographs(photographs_in(tmp_path / "more", train), train)


def test_a_photograph_that_cannot_be_decoded_is_refused(train, tmp_path):
    path = photograph(tmp_path / "more", "new", 9)
    path.write_bytes(path.read_bytes()[:45])
    with pytest.raises(UserError, match=r"new\.png: .*cannot be decoded"):
        check_photographs(photographs_in(tmp_path / "more", train), train)


# Targets.


def test_a_target_holds_the_two_likeliest_classes_and_how_likely_they_are():
    probabilities = torch.tensor([[0.7, 0.1], [0.2, 0.0], [0.1, 0.9]])[:, None]
    planes = planes_of(probabilities)
    assert planes[:, 0].T.tolist() == [[0, round(0.7 * 255), 1, 51], [2, round(0.9 * 255), 0, 26]]


def test_a_target_comes_back_as_it_was_kept():
    planes = torch.randint(0, 256, (4, 23, 31), dtype=torch.uint8)
    assert torch.equal(decoded(encoded(planes)), planes)


def taught(train: Split, folder, level: int = 200) -> TaughtViews:
    """Photographs whose left half is bright: there the teacher sees class 1, on the right class 2."""
    pixels = np.zeros((24, 32, 3), np.uint8)
    pixels[:, :16] = level
    folder.mkdir()
    Image.fromarray(pixels).save(folder / "p.png")
    planes = torch.tensor([2, 153, 0, 102], dtype=torch.uint8)[:, None, None].repeat(1, 12, 16)
    planes[0, :, :8] = 1
    transform = train_transform(Geometry(24, (24, 32), (0.6, 1.6)), PLAIN, 255)
    labelled = TrainViews(train, [View(i) for i in train.ids], transform)
    return TaughtViews(labelled, photographs_in(folder, train), {"p": encoded(planes)}, transform)


def test_a_target_moves_with_its_photograph(train, tmp_path):
    views = taught(train, tmp_path / "more")
    for seed in range(20):
        image_id, (image, label), _, target = views[3, seed]
        assert image_id == "p"
        assert (label == 255).all()
        inside = target[0] != 255
        bright = image[0] > 100 / 255
        # All but the blended pixels along the edge between the halves, and along the padding.
        agree = ((target[0] == 1) == bright) | ~inside
        assert agree.float().mean() > 0.9
        assert target[1:, inside].unique(dim=1).T.tolist() == [[153, 0, 102]]


def test_a_batch_holds_labels_of_the_one_and_targets_of_the_other(train, tmp_path):
    views = taught(train, tmp_path / "more")
    batch = next(iter(train_loader(views, [[(0, 5), (3, 6)]], workers=0)))
    assert batch.ids == ("a", "p")
    assert batch.images.shape == (2, 3, 24, 32)
    assert batch.targets.shape == (2, 4, 24, 32)
    assert (batch.targets[0] == 255).all()
    assert (batch.labels[1] == 255).all()
    assert torch.equal(batch.labels[0], views.labelled[0, 5][1][1])
    assert (batch.labels[0] != 255).any()
    second = batch.parts(2)[1]
    assert torch.equal(second.targets[0], batch.targets[1])
