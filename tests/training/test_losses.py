"""Each loss against a slow definition of its own, ignored pixels, and the weights of the classes."""

import importlib
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import demo_set, tiny_config, with_train

from rws.config import TrainConfig
from rws.config.train import LOSSES
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data import Split
from rws.errors import UserError
from rws.training import class_weights as weighing
from rws.training.class_weights import count_pixels, inverse_frequency, median_frequency
from rws.training.losses import Criterion, check_losses, taught_loss
from rws.training.optimization import segmentation_loss

CLASSES = 4


def a_batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and labels of classes 0 to 2 of four with a part that is ignored."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, CLASSES, 4, 5, generator=generator).mul(2).requires_grad_()
    labels = torch.randint(0, 3, (2, 4, 5), generator=generator)
    labels[0, :2] = labels[1, :, 4] = 255
    return logits, labels


def loss_of(names: str, logits: torch.Tensor, labels: torch.Tensor, weights=None) -> torch.Tensor:
    return segmentation_loss({"out": logits}, labels, 255, 0.5, Criterion(tuple(names.split("+")), weights))


def pixel_by_pixel(logits: torch.Tensor, labels: torch.Tensor) -> list[tuple[np.ndarray, int]]:
    """The logits of every labelled pixel with its class, in double precision."""
    rows = logits.detach().double().permute(0, 2, 3, 1).reshape(-1, CLASSES).numpy()
    return [(row, int(label)) for row, label in zip(rows, labels.flatten()) if label != 255]


def softmax(row: np.ndarray) -> np.ndarray:
    return np.exp(row) / np.exp(row).sum()


def slow_cross_entropy(pixels) -> float:
    return sum(-np.log(softmax(row)[label]) for row, label in pixels) / len(pixels)


def slow_dice(pixels) -> float:
    """1 - 2 |A B| / (|A| + |B|) of the classes that are there, over the number of all classes."""
    total = 0.0
    for c in range(CLASSES):
        p = [softmax(row)[c] for row, _ in pixels]
        there = [label == c for _, label in pixels]
        both = sum(a * b for a, b in zip(p, there))
        total += (1 - 2 * both / (sum(p) + sum(there))) if any(there) else 0
    return total / CLASSES


def slow_focal(pixels) -> float:
    total = 0.0
    for row, label in pixels:
        for c in range(CLASSES):
            p = 1 / (1 + np.exp(-row[c]))
            right = p if label == c else 1 - p
            total += -((1 - right) ** 2) * np.log(right)
    return total / CLASSES / len(pixels)


def slow_lovasz(pixels) -> float:
    """The Lovász extension of the Jaccard loss, by its definition over growing sets of mistakes."""

    def jaccard_loss(mistakes: set[int], of: set[int]) -> float:
        return 1 - len(of - mistakes) / len(of | mistakes)

    losses = []
    for c in range(CLASSES):
        of = {i for i, (_, label) in enumerate(pixels) if label == c}
        if not of:
            continue
        errors = [abs((i in of) - softmax(row)[c]) for i, (row, _) in enumerate(pixels)]
        order = sorted(range(len(pixels)), key=lambda i: -errors[i])
        value, mistakes = 0.0, set()
        for i in order:
            value += errors[i] * (jaccard_loss(mistakes | {i}, of) - jaccard_loss(mistakes, of))
            mistakes.add(i)
        losses.append(value)
    return sum(losses) / len(losses)


SLOW = {
    "cross_entropy": slow_cross_entropy,
    "dice": slow_dice,
    "focal": slow_focal,
    "lovasz": slow_lovasz,
    "cross_entropy+dice": lambda pixels: slow_cross_entropy(pixels) + slow_dice(pixels),
    "focal+lovasz": lambda pixels: slow_focal(pixels) + slow_lovasz(pixels),
}


@pytest.mark.parametrize("names", SLOW)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_loss_is_its_slow_definition(names, seed):
    logits, labels = a_batch(seed)
    expected = SLOW[names](pixel_by_pixel(logits, labels))
    assert loss_of(names, logits, labels).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("names", SLOW)
def test_ignored_pixels_count_in_no_loss(names):
    logits, labels = a_batch()
    loss = loss_of(names, logits, labels)
    loss.backward()
    ignored = (labels == 255)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert logits.grad[~ignored].abs().max() > 0
    other = torch.where(ignored, torch.full_like(logits, 30.0), logits)
    assert torch.equal(loss_of(names, other, labels), loss)


@pytest.mark.parametrize("names", LOSSES)
def test_a_batch_without_any_label_gives_zero_and_finite_gradients(names):
    logits, labels = a_batch()
    weights = torch.ones(CLASSES) if names == "cross_entropy" else None
    loss = loss_of(names, logits, torch.full_like(labels, 255), weights)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("names", ["cross_entropy+lovasz"])
def test_the_auxiliary_head_has_the_same_losses(names):
    (out, labels), (aux, _) = a_batch(0), a_batch(1)
    found = segmentation_loss({"out": out, "aux": aux}, labels, 255, 0.4, Criterion(tuple(names.split("+"))))
    assert torch.allclose(found, loss_of(names, out, labels) + 0.4 * loss_of(names, aux, labels))


def test_weights_count_each_pixel_by_its_class():
    logits, labels = a_batch()
    weights = torch.tensor([0.5, 2.0, 3.0, 0.0])
    expected = F.cross_entropy(logits, labels, weights, ignore_index=255)
    assert torch.allclose(loss_of("cross_entropy", logits, labels, weights), expected)
    both = loss_of("cross_entropy+dice", logits, labels, weights)
    assert torch.allclose(both, expected + loss_of("dice", logits, labels)), "in the cross-entropy alone"


def test_without_the_library_the_loss_is_named(monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    check_losses(("cross_entropy",))
    with pytest.raises(UserError, match=r"^train\.loss dice: the package seg.* not installed; run `pip inst"):
        check_losses(("cross_entropy", "dice"))


# The weights of the classes.


def a_split(*labels: list[list[int]]) -> Split:
    """A stand-in for a split of these labels, with four classes."""

    class Labels:
        ids = tuple(map(str, range(len(labels))))

        class classes:
            names, num_classes = ("a", "b", "c", "d"), 4

        def __len__(self) -> int:
            return len(self.ids)

        def label(self, image_id: str) -> np.ndarray:
            return np.array(labels[int(image_id)], np.uint8)

    return Labels()


TWO = a_split([[0, 0, 0, 1]], [[0, 2, 2, 255], [255, 0, 0, 0]])


def test_pixels_are_counted_in_the_images_that_show_a_class():
    pixels, around = count_pixels(TWO)
    assert pixels.tolist() == [7, 1, 2, 0]
    assert around.tolist() == [10, 4, 6, 0], "ignored pixels are no part of it"


def test_median_frequency_by_hand():
    """Frequencies 0.7, 1/4 and 1/3; the median is 1/3. The class that never occurs has no part in it."""
    found = median_frequency(*count_pixels(TWO))
    assert found == pytest.approx([1 / 3 / 0.7, 4 / 3, 1, 0])


def test_inverse_frequency_lets_each_class_count_the_same():
    pixels, around = count_pixels(TWO)
    found = inverse_frequency(pixels, around)
    assert found == pytest.approx([10 / 21, 10 / 3, 10 / 6, 0])
    assert found[:3] * pixels[:3] == pytest.approx([10 / 3] * 3)


@pytest.fixture
def config(tmp_path, tiny_runs):
    return tiny_config(demo_set(tmp_path / "set"), tmp_path / "runs", limit=0)


def test_weights_are_counted_once_and_said_in_one_line(config, capsys, monkeypatch):
    config = with_train(config, class_weights="median")
    setup = prepare(config)[0]
    expected = median_frequency(*count_pixels(setup.train))
    assert setup.class_weights == pytest.approx(expected, abs=1e-6)
    (line,) = (text for text in capsys.readouterr().out.splitlines() if text.startswith("class weights"))
    assert line.startswith(f"class weights (median): background {expected[0]:.3g}, kite {expected[1]:.3g}, ")

    def counts_again(split):
        raise AssertionError("a resumed run has its weights")

    monkeypatch.setattr(weighing, "count_pixels", counts_again)
    assert prepare(config, resume=True)[0].class_weights == setup.class_weights


def test_damaged_weights_are_counted_anew(config, capsys):
    config = with_train(config, class_weights="inverse")
    setup = prepare(config)[0]
    path = setup.folder / "class_weights.json"
    path.write_text(path.read_text().replace("0", "1", 1))
    assert prepare(config, resume=True)[0].class_weights == setup.class_weights
    assert "class_weights.json: damaged" in capsys.readouterr().out


def test_many_classes_are_shown_by_the_smallest_and_largest():
    said = weighing._shown([f"c{k}" for k in range(20)], [float(k) for k in range(20)])
    assert said == "c0 0, c1 1, c2 2, ..., c17 17, c18 18, c19 19"


def test_weights_and_losses_change_the_training(config):
    """Of three networks that are trained alike otherwise, no two are the same."""
    several = {
        "plain": config,
        "weighed": with_train(config, class_weights=(1.0, 5.0, 5.0, 5.0, 5.0, 5.0)),
        "sum": with_train(config, loss="cross_entropy+dice+focal+lovasz"),
    }
    losses = set()
    for name, each in several.items():
        each.name = name
        run = Run(prepare(each)[0])
        run.train()
        losses.add(run.state.cycles[0].whole[-1]["loss"])
    assert len(losses) == 3


def test_another_number_of_weights_than_of_classes_is_refused(config):
    with pytest.raises(UserError, match=r"^train\.class_weights: 2 numbers for 6 classes; give one for each"):
        prepare(with_train(config, class_weights=(1.0, 2.0)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"loss": "dise"}, r"^train\.loss: 'dise' is not one of cross_entropy, dice, focal, lovasz; join"),
        ({"loss": "dice+"}, r"^train\.loss: '' is not one of"),
        ({"loss": "dice", "class_weights": "median"}, r"^train\.class_weights weighs the cross-entropy, wh"),
        ({"class_weights": (0.0, 0.0)}, r"^train\.class_weights: every weight is 0"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(UserError, match=said):
        TrainConfig(**wrong)


# Photographs without labels.


def test_the_loss_against_a_teacher_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 3.0]])[None, :, None]
    # The first pixel is of class 0 with 0.8 and of class 2 with 0.2; the second has no target.
    targets = torch.tensor([[0, 255], [204, 255], [2, 255], [51, 255]])[None, :, None]
    total = math.log(math.exp(2) + math.exp(0) + math.exp(-1))
    expected = 0.8 * (total - 2) + 0.2 * (total + 1)
    assert taught_loss(logits, targets, 255).item() == pytest.approx(expected, rel=1e-5)


def test_without_a_target_there_is_no_loss():
    assert taught_loss(torch.randn(1, 3, 2, 2), torch.full((1, 4, 2, 2), 255), 255) == 0
