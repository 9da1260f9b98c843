"""SC-CAM against plain definitions, and its rounds on a small set."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny import TINY, TinyNetwork, demo_set, same_tensors, tiny_config, with_train
from torch import Tensor, nn

from rws.cycle.setup import prepare
from rws.data import open_split
from rws.errors import UserError
from rws.models import FAMILIES, Family
from rws.models.sc_cam import (
    SUB_CATEGORIES,
    Classifier,
    SubCategoryNetwork,
    sc_cam_efficientnet_lite0,
    sc_cam_resnet50,
    unit_maximum,
)
from rws.predict.inference import predict_label
from rws.runs import checkpoint
from rws.runs.model_file import load_trained
from rws.sc_cam import rounds
from rws.sc_cam.cams import label_map, multi_scale_maps
from rws.sc_cam.clusters import sub_category_labels
from rws.sc_cam.images import ClassifiedImages, image_labels
from rws.sc_cam.label_maps import LabelMaps
from rws.sc_cam.loss import classification_loss
from rws.sc_cam.rounds import Rounds
from rws.training.training import Training


def build(num_classes: int, aux: bool = True) -> SubCategoryNetwork:
    return SubCategoryNetwork(TinyNetwork(num_classes).backbone, 8, num_classes)


@pytest.fixture
def network() -> SubCategoryNetwork:
    torch.manual_seed(0)
    network = build(4)
    network.train().features(torch.randn(4, 3, 32, 32))  # statistics of its own
    return network.eval()


# Sub-categories.


def test_sub_categories_are_the_clusters_of_each_class_alone():
    """Three far clusters of class 0 and two of class 1, which share the images of one cluster."""
    rng = np.random.default_rng(0)
    centres = np.repeat(np.array([[0.0, 0], [100, 0], [0, 100], [100, 100]]), 6, axis=0)
    features = (centres + rng.normal(size=centres.shape)).astype(np.float32)
    labels = np.zeros((24, 2), np.float32)
    labels[:18, 0] = 1
    labels[12:, 1] = 1
    found = sub_category_labels(features, labels, 3, seed=1).reshape(24, 2, 3)
    assert np.array_equal(found.sum(2), labels)
    groups = found[:18, 0].argmax(1).reshape(3, 6)
    assert all(len(set(group)) == 1 for group in groups)
    assert len(set(groups[:, 0])) == 3
    first, second = found[12:18, 1].argmax(1), found[18:, 1].argmax(1)
    assert not set(first) & set(second)


def test_fewer_images_than_sub_categories():
    found = sub_category_labels(np.eye(3, dtype=np.float32), np.array([[1.0, 0]] * 3, np.float32), 5, seed=0)
    assert found.shape == (3, 10)
    assert found[:, :5].sum() == 3
    assert found[:, 5:].sum() == 0


def test_loss_is_that_of_the_classes_and_the_weighted_one_of_their_sub_categories():
    generator = torch.Generator().manual_seed(0)
    scores = [torch.randn(2, 3, generator=generator), torch.randn(2, 6, generator=generator)]
    known = [torch.randint(0, 2, s.shape, generator=generator).float() for s in scores]

    def entropy(s: Tensor, y: Tensor) -> Tensor:
        p = 1 / (1 + torch.exp(-s))
        return -(y * p.log() + (1 - y) * (1 - p).log()).mean()

    parents, subs = (entropy(s, y) for s, y in zip(scores, known))
    output = dict(zip(("classes", "sub_categories"), scores))
    torch.testing.assert_close(classification_loss({"classes": scores[0]}, known[0], 5.0), parents)
    torch.testing.assert_close(classification_loss(output, torch.cat(known, 1), 5.0), parents + 5 * subs)


def test_classifier_is_the_mean_of_its_heads_at_every_place(network):
    images = torch.randn(2, 3, 32, 40)
    logits = Classifier(network, ["classes", "sub_categories"])(images)
    for name, head in network.classifier.items():
        torch.testing.assert_close(logits[name], head(network.features(images)).mean((2, 3)))
    assert list(Classifier(network, ["classes"])(images)) == ["classes"]


# Maps.


def test_maps_are_summed_over_scales_and_mirror_images(network):
    images = torch.randn(1, 3, 32, 40)
    total = torch.zeros(1, 3, 48, 60)
    for scale in (0.5, 1.5):
        seen = F.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=False)
        for flip in (False, True):
            with torch.no_grad():
                f = network.backbone(seen.flip(3) if flip else seen)
            weight = network.classifier["classes"].weight[:, :, 0, 0]
            maps = torch.einsum("nchw,fc->nfhw", f, weight).clamp_min(0)
            maps = maps.flip(3) if flip else maps
            total += F.interpolate(maps, (48, 60), mode="bilinear", align_corners=False).detach()
    assert total.amax((2, 3)).min() > 0
    want = total / total.amax((2, 3), keepdim=True)
    got = multi_scale_maps(network, images, (48, 60), (0.5, 1.5))
    torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_label_map_by_hand():
    maps = torch.tensor([[[[0.9, 0.1, 0.3]], [[0.2, 0.2, 0.4]], [[1.0, 1.0, 1.0]]]])
    present = torch.tensor([[True, True, False]])
    assert label_map(maps, present, 0.25).tolist() == [[[1, 0, 2]]]
    assert label_map(maps, present, 0.05).tolist() == [[[1, 2, 2]]]
    assert label_map(maps, torch.tensor([[False] * 3]), 0.05).tolist() == [[[0, 0, 0]]]


def test_a_map_that_is_zero_everywhere_stays_zero():
    assert torch.equal(unit_maximum(torch.zeros(2, 3, 4)), torch.zeros(2, 3, 4))


def test_network_puts_out_its_maps_of_the_classes_it_finds(network):
    images = torch.randn(2, 3, 32, 40)
    with torch.no_grad():
        network.threshold.fill_(0.4)
        network.classifier["classes"].weight[1].abs_().neg_()  # features are not negative: a class less
        out = network(images)["out"]
        found = Classifier(network, ["classes"])(images)["classes"] >= 0
    assert out.shape == (2, 4, 32, 40)
    assert found.any()
    assert not found.all()
    assert torch.equal(out[:, 0], torch.full((2, 32, 40), 0.4))
    assert torch.equal(out[:, 1:].amax((2, 3)) > 0, found)
    assert float(out[:, 1:].max()) <= 1


# Rounds.


@pytest.fixture
def setup(monkeypatch, tmp_path):
    """Of a run on six demo images with a tiny backbone."""
    family = Family(build, TINY.stages, TINY.mean, TINY.std)
    monkeypatch.setitem(FAMILIES, "sc_cam_tiny", family)
    config = tiny_config(demo_set(tmp_path / "demo", train=6, val=3), tmp_path / "runs")
    config.model.name = "sc_cam_tiny"
    config.sc_cam.rounds, config.sc_cam.scales = 1, (1.0,)
    return partial(lambda config, **train: prepare(with_train(config, **train), resume=True)[0], config)


def test_rounds_leave_a_network_and_label_maps(setup):
    summary = Rounds(setup()).run()
    folder = setup().folder
    assert [record["round"] for record in summary["rounds"]] == [0, 1]
    assert all(0 <= record[part]["miou"] <= 100 for record in summary["rounds"] for part in ("train", "val"))
    network, card = load_trained(folder / "last.pt")
    assert float(network.threshold) == pytest.approx(summary["rounds"][-1]["threshold"])
    split = setup().train
    for image_id, present in zip(split.ids, image_labels(split)):
        with Image.open(folder / "labels" / f"{image_id}.png") as picture:
            label = np.array(picture)
        assert picture.mode == "P"
        assert label.shape == split.size(image_id)
        assert set(np.unique(label)) <= {0, *(1 + np.flatnonzero(present))}
    # Whole images are seen in eval mode: their statistics do not find their way into the network.
    trained = checkpoint.load(folder / "rounds/1/network.pt")["model"]
    assert same_tensors(network.state_dict(), trained | {"threshold": network.threshold})
    image = split.image(split.ids[0])
    assert predict_label(network, card, image).shape == (image.height, image.width)


def test_the_second_round_learns_sub_categories(setup, monkeypatch):
    seen = []
    monkeypatch.setattr(
        rounds, "sub_category_labels", lambda *args: seen.append(args) or sub_category_labels(*args)
    )
    run = Rounds(setup())
    run.run()
    ((features, labels, number, _),) = seen
    first = run._restored(0)
    assert number == SUB_CATEGORIES
    assert np.array_equal(labels, image_labels(run.setup.train))
    batch = next(iter(run.setup.train_batches))
    place = run.setup.train.ids.index(batch.ids[0])
    with torch.no_grad():
        want = first.eval().features(batch.images[:1]).mean((2, 3))[0]
    np.testing.assert_allclose(features[place], want, atol=1e-5)
    states = [checkpoint.load(run._path(r))["model"] for r in (0, 1)]
    initial = run._initial().state_dict()
    untrained = "classifier.sub_categories.weight"
    assert torch.equal(states[0][untrained], initial[untrained])
    assert not torch.equal(states[1][untrained], initial[untrained])


def test_a_stopped_run_goes_on_to_the_same_numbers(setup, monkeypatch, tmp_path):
    whole = Rounds(setup()).run()
    weights = checkpoint.load(setup().folder / "last.pt")["model"]
    setup().folder.rename(tmp_path / "runs/whole")
    monkeypatch.setattr(rounds, "sub_category_labels", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Rounds(setup()).run()
    monkeypatch.setattr(rounds, "sub_category_labels", sub_category_labels)
    assert len(json.loads((setup().folder / "rounds.json").read_text())["rounds"]) == 1
    assert Rounds(setup()).run() == whole
    assert same_tensors(checkpoint.load(setup().folder / "last.pt")["model"], weights)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def another_shape(path: Path) -> None:
    path.write_text('{"rounds": [7]}')


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("rounds.json", cut_off, "the rounds are scored again"),
        ("rounds.json", another_shape, "the rounds are scored again"),
        ("rounds/0/network.pt", cut_off, "going back to round 0"),
        ("rounds/1/network.pt", cut_off, "going back to round 1"),
        ("rounds/1/sub_categories.pt", cut_off, "going back to round 1"),
        ("last.pt", cut_off, ""),
        ("rounds/1/network.pt", Path.unlink, "going back to round 1"),
    ],
)
def test_damaged_files_of_a_run_are_made_again(setup, capsys, name, damage, said):
    whole = Rounds(setup()).run()
    folder = setup().folder
    weights = checkpoint.load(folder / "last.pt")["model"]
    damage(folder / name)
    capsys.readouterr()
    assert Rounds(setup()).run() == whole
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert [line.rpartition("; ")[2] for line in lines] == ([said] if said else [])
    assert same_tensors(checkpoint.load(folder / "last.pt")["model"], weights)
    assert all(checkpoint.load(folder / "rounds" / r / "network.pt")["model"] for r in "01")


STEPS = 6  # of a round


@pytest.mark.parametrize("calls", [0, 1, 4, 5, STEPS, STEPS + 2, 2 * STEPS - 1])
def test_stopped_within_a_round_it_goes_on_at_the_next_step(setup, monkeypatch, tmp_path, calls):
    whole = Rounds(setup()).run()
    weights = checkpoint.load(setup().folder / "last.pt")["model"]
    setup().folder.rename(tmp_path / "runs/whole")
    real, taken = Training._one_step, []

    def counted(self, *args):
        taken.append((self.job.key, self.step))
        return 1 / 0 if len(taken) == calls + 1 else real(self, *args)

    monkeypatch.setattr(Training, "_one_step", counted)
    with pytest.raises(ZeroDivisionError):
        Rounds(setup()).run()
    if calls >= STEPS:  # those of a run that is resumed are those that it has begun with
        monkeypatch.setattr(rounds, "sub_category_labels", lambda *args: 1 / 0)
    assert Rounds(setup()).run() == whole
    assert same_tensors(checkpoint.load(setup().folder / "last.pt")["model"], weights)
    del taken[calls]  # the step that was cut off
    assert taken == [(f"round-{r}", step) for r in (0, 1) for step in range(STEPS)]
    assert not (setup().folder / "training.pt").exists()


def test_a_round_that_is_trained_is_only_scored(setup, monkeypatch, tmp_path):
    whole = Rounds(setup()).run()
    setup().folder.rename(tmp_path / "runs/whole")
    real, calls = LabelMaps.scores, []

    def cut_off(self, *args):
        calls.append(args)
        return 1 / 0 if len(calls) == 4 else real(self, *args)

    monkeypatch.setattr(LabelMaps, "scores", cut_off)
    with pytest.raises(ZeroDivisionError):
        Rounds(setup()).run()
    monkeypatch.setattr(Training, "run", lambda self: 1 / 0)
    assert Rounds(setup()).run() == whole


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precision_is_taken(setup, tmp_path, precision):
    whole = Rounds(setup()).run()
    setup().folder.rename(tmp_path / "runs/whole")
    half = Rounds(setup(precision=precision)).run()
    for one, other in zip(whole["rounds"], half["rounds"], strict=True):
        assert other["loss"] != one["loss"]
        assert other["loss"] == pytest.approx(one["loss"], rel=0.05)


def test_a_loss_that_is_not_finite_is_refused(setup, monkeypatch):
    monkeypatch.setattr(
        rounds, "classification_loss", lambda output, *_, **__: output["classes"].sum() * np.nan
    )
    with pytest.raises(UserError, match="round-0: loss nan at step 0"):
        Rounds(setup()).run()


def test_training_sees_no_label(setup, monkeypatch):
    split = setup().train
    labels = torch.from_numpy(image_labels(split))
    monkeypatch.setattr(split, "label", lambda image_id: 1 / 0)
    image_id, (image, label), _ = ClassifiedImages(split, setup().card.transform(), labels)[2, 5]
    assert image_id == split.ids[2]
    assert image.shape[0] == 3
    assert torch.equal(label, labels[2])


def test_a_set_without_background_is_refused(setup):
    ready = setup()
    split = open_split("demo", ready.config.data.root, "train")
    object.__setattr__(ready.card, "classes", split.classes.__class__(("a",), ((0, 0, 0),), None))
    with pytest.raises(UserError, match="needs a data set whose class 0 is background"):
        Rounds(ready)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("", "cam_vis", True),
        ("data", "copy_paste", 0.5),
        ("train", "loss", "dice"),
        ("train", "class_weights", "median"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(setup, part, key, value):
    ready = setup()
    options = {part: replace(getattr(ready.config, part), **{key: value})} if part else {key: value}
    with pytest.raises(UserError, match=rf"{key} {value}: SC-CAM.* does not use it"):
        Rounds(replace(ready, config=replace(ready.config, **options)))


def test_backbones_have_the_channels_of_their_heads():
    pytest.importorskip("efficientnet_lite_pytorch")
    for one in (sc_cam_resnet50, sc_cam_efficientnet_lite0):
        network: nn.Module = one(4).eval()
        with torch.no_grad():
            assert network(torch.randn(1, 3, 64, 80))["out"].shape == (1, 4, 64, 80)
            assert network.features(torch.randn(1, 3, 64, 80)).shape[2:] == (4, 5)
