"""Averaged weights, batches in parts, clipped gradients, early stop: by hand, and resumed bit for bit."""

import itertools

import pytest
import torch
from test_training import fresh, job, make_training, stopping, untimed, views
from tiny import TinyNetwork, same_tensors
from torch import nn

from rws.config import TrainConfig
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainBatch
from rws.errors import UserError
from rws.training.average import WeightAverage
from rws.training.stepping import Stepper
from rws.training.training import Training, evaluations_since_best


def configured(**train) -> TrainConfig:
    return TrainConfig(optimizer="adamw", lr=0.01, checkpoint_steps=1, **train)


class Convolutions(nn.Module):
    """A network that looks at each image by itself: no batch normalisation, no dropout."""

    def __init__(self):
        super().__init__()
        self.classifier = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 6, 1))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"out": self.classifier(images)}


def convolutions() -> nn.Module:
    torch.manual_seed(3)
    return Convolutions()


def trained(path, config: TrainConfig, network: nn.Module | None = None, **changes) -> nn.Module:
    network = network or convolutions()
    Training(network, job(**changes), config, path, 255).run()
    return network


def distance(one: nn.Module, other: nn.Module) -> float:
    pairs = zip(one.parameters(), other.parameters())
    return torch.cat([(a - b).flatten() for a, b in pairs]).norm().item()


# The batch in parts.


@pytest.mark.parametrize(
    ("loss", "weights"),
    [
        ("cross_entropy", None),
        ("focal", None),
        ("cross_entropy+focal", None),
        ("cross_entropy", (1.0, 0.2, 3.0, 1.0, 5.0, 0.5)),
    ],
)
def test_a_batch_in_parts_is_the_whole_batch(tmp_path, loss, weights):
    """Although its parts hold unequally many ignored pixels, the padding of small crops."""
    padded = views()
    padded.transform = train_transform(
        Geometry(20, (30, 30), (0.5, 1.6)), Normalisation((0.5,) * 3, (0.5,) * 3), 255
    )
    several = {"batch_size": 4, "steps": 2, "steps_per_epoch": 1, "class_weights": weights, "views": padded}
    config = {"optimizer": "sgd", "lr": 0.1, "batch_size": 4, "loss": loss, "warmup_epochs": 0.0}
    one, two, four = (
        trained(tmp_path / f"{n}.pt", TrainConfig(**config, accumulate=n), **several) for n in (1, 2, 4)
    )
    moved = distance(one, convolutions())
    assert moved > 0.01
    assert distance(one, two) < 1e-5 * moved + 1e-6
    assert distance(one, four) < 1e-5 * moved + 1e-6


def test_parts_keep_what_belongs_to_each_image():
    images, where = torch.arange(4.0)[:, None, None, None], torch.arange(4.0).mul(10)[:, None, None, None]
    batch = TrainBatch(images, torch.arange(4), tuple("abcd"), where, ("A", "B", "C", "D"))
    first, second = batch.parts(2)
    assert (first.ids, second.ids) == (("a", "b"), ("c", "d"))
    assert (first.attached, second.attached) == (("A", "B"), ("C", "D"))
    assert second.images.flatten().tolist() == second.labels.tolist() == [2, 3]
    assert second.where.flatten().tolist() == [20, 30]
    without = TrainBatch(images, torch.arange(4), tuple("abcd")).parts(4)[3]
    assert (without.ids, without.where, without.attached) == (("d",), None, ())


def test_fusion_is_asked_for_each_part(tmp_path):
    """With the step of the batch; the losses that it adds are averaged over the parts."""
    asked = []

    class Added:
        def __enter__(self):
            return [torch.tensor(3.0)]

        def __exit__(self, *error):
            return None

    def fusion(batch: TrainBatch, step: int) -> Added:
        asked.append((step, len(batch.ids)))
        return Added()

    config = TrainConfig(batch_size=2, accumulate=2, lr=1e-9)
    alone = Training(convolutions(), job(steps=1, steps_per_epoch=1), config, tmp_path / "a.pt", 255).run()
    more = job(steps=1, steps_per_epoch=1, fusion=fusion)
    added = Training(convolutions(), more, config, tmp_path / "b.pt", 255).run()
    assert asked == [(0, 1), (0, 1)]
    assert added[0]["loss"] == pytest.approx(alone[0]["loss"] + 3, rel=1e-6)


# Photographs without labels.


def half_taught() -> TrainBatch:
    """Two labelled images and two photographs with targets, some pixels of each ignored."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 8, 8, generator=generator)
    labels, targets = torch.full((4, 8, 8), 255), torch.full((4, 4, 8, 8), 255)
    labels[:2] = torch.randint(0, 6, (2, 8, 8), generator=generator)
    targets[2:] = torch.randint(0, 6, (2, 4, 8, 8), generator=generator)
    targets[2:, 1], targets[2:, 3] = 178, 51
    labels[0, :3] = targets[3, :, 5:] = 255
    return TrainBatch(images, labels, tuple("abpq"), targets=targets)


def gradients(accumulate: int) -> tuple[float, list[torch.Tensor]]:
    network = convolutions()
    stepper = Stepper(network, job(), TrainConfig(batch_size=4, accumulate=accumulate, lr=1e-9), 255)
    loss = stepper.take(half_taught(), 0)
    return loss.item(), [parameter.grad.clone() for parameter in network.parameters()]


def test_the_loss_of_a_batch_half_of_photographs_by_hand():
    batch = half_taught()
    likely = convolutions()(batch.images)["out"].log_softmax(1)
    labelled, taught = [], []
    for n in range(4):
        for y, x in itertools.product(range(8), range(8)):
            if (c := batch.labels[n, y, x]) != 255:
                labelled.append(-likely[n, c, y, x].item())
            first, p, second, q = batch.targets[n, :, y, x].tolist()
            if first != 255:
                pair = p / 255 * likely[n, first, y, x] + q / 255 * likely[n, second, y, x]
                taught.append(-pair.item())
    assert (len(labelled), len(taught)) == (2 * 64 - 24, 2 * 64 - 24)
    expected = sum(labelled) / len(labelled) + sum(taught) / len(taught)
    assert gradients(1)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("parts", [2, 4])
def test_photographs_in_parts_of_a_batch_count_as_in_the_whole(parts):
    (loss, whole), (again, added) = gradients(1), gradients(parts)
    assert again == pytest.approx(loss, rel=1e-5)
    for one, other in zip(whole, added):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-7)


# Clipping.


def test_a_long_gradient_is_scaled_down_to_the_norm(tmp_path):
    """One step of plain SGD then goes as far as rate times norm."""
    config = {"optimizer": "sgd", "lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "warmup_epochs": 0.0}
    one = {"steps": 1, "steps_per_epoch": 1}
    free = trained(tmp_path / "free.pt", TrainConfig(**config), **one)
    clipped = trained(tmp_path / "clipped.pt", TrainConfig(**config, clip_grad=0.01), **one)
    loose = trained(tmp_path / "loose.pt", TrainConfig(**config, clip_grad=1e6), **one)
    assert distance(free, convolutions()) > 2 * 0.5 * 0.01
    assert distance(clipped, convolutions()) == pytest.approx(0.5 * 0.01, rel=1e-3)
    assert same_tensors(free.state_dict(), loose.state_dict())


# The average.


@pytest.fixture
def steps(monkeypatch) -> list[dict[str, torch.Tensor]]:
    """The network's own weights after each optimizer step."""
    taken: list[dict[str, torch.Tensor]] = []
    real = Training._one_step

    def one_step(self, *args):
        result = real(self, *args)
        taken.append({key: value.clone() for key, value in self.network.state_dict().items()})
        return result

    monkeypatch.setattr(Training, "_one_step", one_step)
    return taken


def averaged(steps: list[dict[str, torch.Tensor]], decay: float) -> dict[str, torch.Tensor]:
    mean = dict(steps[0])
    for t, weights in enumerate(steps[1:], 1):
        keeps = min(decay, (1 + t) / (10 + t))
        for key, value in weights.items():
            mean[key] = (mean[key] * keeps + value * (1 - keeps)).to(value.dtype)
    return mean


@pytest.mark.parametrize("decay", [0.2, 0.999])
def test_the_average_is_what_is_evaluated_told_and_left(tmp_path, steps, decay):
    """Parameters and buffers, by hand; the history's weight is that of the network that was evaluated."""
    told = []

    def tell(record):
        told.append(training.network.backbone[0][0].weight.sum().item())

    training = make_training(tmp_path / "t.pt", configured(ema=decay))
    history = training.run(tell)
    for key, expected in averaged(steps, decay).items():
        torch.testing.assert_close(training.network.state_dict()[key], expected)
    name = "backbone.0.0.weight"
    seen = [averaged(steps[:n], decay)[name].sum().item() for n in (3, 6)]
    assert [record["miou"] for record in history] == pytest.approx(seen, rel=1e-5)
    assert told == [record["miou"] for record in history]
    assert not torch.allclose(training.network.state_dict()[name], steps[-1][name])


def test_averaging_does_not_change_the_training_itself(tmp_path, steps):
    make_training(tmp_path / "plain.pt", configured()).run()
    make_training(tmp_path / "averaged.pt", configured(ema=0.9)).run()
    assert len(steps) == 12
    assert all(map(same_tensors, steps[:6], steps[6:]))


def _fail_with(network: nn.Module, average: WeightAverage) -> None:
    assert same_tensors(network.state_dict(), average.model.module.state_dict())
    raise ArithmeticError


def test_the_networks_own_weights_come_back_after_an_error():
    network = fresh()
    average = WeightAverage(network, 0.5)
    average.update(TinyNetwork(6))
    own = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(ArithmeticError), average.in_place_of(network):
        _fail_with(network, average)
    assert same_tensors(network.state_dict(), own)


# Early stop.


@pytest.mark.parametrize(
    ("scores", "since"),
    [([], 0), ([1.0], 0), ([1.0, 2.0], 0), ([2.0, 1.0], 1), ([1.0, 3.0, 3.0, 2.0], 2), ([3.0, 1.0, 4.0], 0)],
)
def test_evaluations_since_the_best(scores, since):
    history = [{"miou": score, "step": k} for k, score in enumerate(scores)]
    assert evaluations_since_best([*history, {"step": 9}]) == since


SCORES = (1.0, 3.0, 2.0, 3.0, 9.0)


def stopping_early(path, patience: int | None, **changes) -> Training:
    """A training of five epochs whose scores are SCORES."""

    def evaluate(network) -> dict:
        return {"miou": SCORES[len(training.history)]}

    several = {"steps": 15, "steps_per_epoch": 3, "evaluate": evaluate, **changes}
    training = make_training(path, configured(early_stop=patience), **several)
    return training


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (3, 5), (None, 5)])
def test_it_ends_after_so_many_evaluations_without_a_better_one(tmp_path, capsys, patience, epochs):
    history = stopping_early(tmp_path / "t.pt", patience).run()
    assert [record["step"] for record in history] == [3 * (k + 1) for k in range(epochs)]
    said = capsys.readouterr().out
    line = f"t: no better mIoU in {patience} evaluations; stopped after step {3 * epochs} of 15"
    assert (line in said) == (epochs < 5)


def test_a_training_without_scores_does_not_stop(tmp_path):
    assert len(stopping_early(tmp_path / "t.pt", 1, evaluate=None).run()) == 5


@pytest.mark.parametrize("calls", range(12))
def test_stopped_early_and_killed_before_it_ends_the_same(tmp_path, monkeypatch, calls):
    whole = stopping_early(tmp_path / "whole.pt", 2)
    whole.run()
    with stopping(monkeypatch, calls, "_after_step"):
        stopping_early(tmp_path / "t.pt", 2).run()
    resumed = stopping_early(tmp_path / "t.pt", 2)
    assert resumed.step == calls
    assert untimed(resumed.run()) == untimed(whole.history)
    assert len(resumed.history) == 4
    assert same_tensors(resumed.network.state_dict(), whole.network.state_dict())


# All of it, and resumed.


def everything(path, **changes) -> Training:
    """Strong augmentation, a sum of losses, class weights, a batch in parts, clipping and an average."""
    strong = views()
    geometry = Geometry(20, (16, 16), (0.8, 1.5), augment="strong")
    strong.transform = train_transform(geometry, Normalisation((0.5,) * 3, (0.5,) * 3), 255)
    config = configured(
        loss="cross_entropy+dice+focal+lovasz", ema=0.9, accumulate=2, clip_grad=1.0, batch_size=2
    )
    several = {"views": strong, "class_weights": (1.0, 2.0, 0.5, 3.0, 1.0, 1.0), **changes}
    return make_training(path, config, **several)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    training = everything(tmp_path_factory.mktemp("whole") / "t.pt")
    return untimed(training.run()), training.network.state_dict()


@pytest.mark.parametrize(
    ("method", "calls"),
    [*itertools.product(["_one_step", "_after_step"], range(6)), *itertools.product(["_store"], range(5))],
)
def test_all_together_stopped_anywhere_is_bit_identical(tmp_path, monkeypatch, undisturbed, method, calls):
    with stopping(monkeypatch, calls, method):
        everything(tmp_path / "t.pt").run()
    resumed = everything(tmp_path / "t.pt")
    assert resumed.step == calls
    assert untimed(resumed.run()) == undisturbed[0]
    assert same_tensors(resumed.network.state_dict(), undisturbed[1])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"batch_size": 4, "accumulate": 3}, r"^train\.accumulate 3: train\.batch_size 4 is no multiple"),
        ({"ema": 1.0}, r"^train\.ema 1: the average would never move"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(UserError, match=said):
        TrainConfig(**wrong)
