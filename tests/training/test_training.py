"""One training: its loss, its schedule, its batches, and that it can stop anywhere and go on bit for bit."""

import itertools
import json
import math
import os
import signal
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise, product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tiny import TINY, TinyNetwork, same_tensors

from rws.config import TrainConfig
from rws.data.batches import SeededBatches, steps_per_epoch
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainViews, View, train_loader
from rws.errors import UserError
from rws.runs import checkpoint
from rws.runtime.signals import Interrupted, handled
from rws.training import optimization
from rws.training import training as engine
from rws.training.optimization import learning_rate, make_optimizer, segmentation_loss
from rws.training.training import Job, Training


class Pictures:
    """A split of six small images, held in memory."""

    ids = tuple("abcdef")

    def image(self, image_id: str) -> Image.Image:
        generator = np.random.default_rng(ord(image_id))
        return Image.fromarray(generator.integers(0, 256, (20, 24, 3), dtype=np.uint8))

    def label(self, image_id: str) -> np.ndarray:
        label = np.random.default_rng(ord(image_id)).integers(0, 6, (20, 24)).astype(np.uint8)
        label[0] = 255
        return label


def views(count: int = 6) -> TrainViews:
    transform = train_transform(Geometry(20, (16, 16), (0.8, 1.5)), Normalisation(TINY.mean, TINY.std), 255)
    return TrainViews(Pictures(), [View(i) for i in Pictures.ids[:count]], transform)


def job(**changes) -> Job:
    values = {"key": "t", "views": views(), "steps": 6, "steps_per_epoch": 3, "batch_size": 2, "seed": 7}
    return Job(**{**values, "workers": 0, **changes})


# The loss.


def output_and_labels() -> tuple[dict, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    output = {k: torch.randn(2, 4, 3, 5, generator=generator, requires_grad=True) for k in ("out", "aux")}
    labels = torch.randint(0, 4, (2, 3, 5), generator=generator)
    labels[0, 0] = 255
    return output, labels


def test_loss_is_the_mean_cross_entropy_of_the_labelled_pixels():
    output, labels = output_and_labels()
    expected = F.cross_entropy(output["out"], labels, ignore_index=255)
    assert torch.allclose(segmentation_loss({"out": output["out"]}, labels, 255, 0.5), expected)
    # ... and of nothing else: the labelled pixels picked out by hand.
    known = labels != 255
    by_hand = F.cross_entropy(output["out"].permute(0, 2, 3, 1)[known], labels[known])
    assert torch.allclose(expected, by_hand)


@pytest.mark.parametrize("aux_loss", [0.0, 0.4, 1.0])
def test_the_auxiliary_head_counts_by_its_weight(aux_loss):
    output, labels = output_and_labels()
    main, aux = (F.cross_entropy(output[k], labels, ignore_index=255) for k in ("out", "aux"))
    assert torch.allclose(segmentation_loss(output, labels, 255, aux_loss), main + aux_loss * aux)


def test_a_batch_without_any_label_gives_zero_and_finite_gradients():
    output, labels = output_and_labels()
    loss = segmentation_loss(output, torch.full_like(labels, 255), 255, 0.5)
    loss.backward()
    assert loss.item() == 0
    assert all(torch.equal(logits.grad, torch.zeros_like(logits)) for logits in output.values())


def test_a_loss_that_is_handed_in_takes_the_place_of_the_segmentation_loss(tmp_path):
    seen = []

    def loss(output, labels):
        seen.append((sorted(output), labels.shape))
        return output["out"].square().mean() + 2

    network = fresh()
    before = network.aux_classifier.weight.clone()
    config = TrainConfig(lr=0.01, weight_decay=0.0)
    history = Training(network, job(loss=loss), config, tmp_path / "t.pt", 255).run()
    assert seen == [(["aux", "out"], (2, 16, 16))] * 6
    assert 2 < history[-1]["loss"] < history[0]["loss"]
    assert torch.equal(network.aux_classifier.weight, before), "nothing of the segmentation loss is left"


# The schedule and the optimizer.


def schedule(job: Job, config: TrainConfig) -> list[float]:
    return [learning_rate(step, job.steps, job.steps_per_epoch, config) for step in range(job.steps)]


def test_learning_rate_warms_up_and_ends_near_zero():
    config = TrainConfig(lr=0.2, warmup_epochs=1)
    rates = schedule(job(steps=1000, steps_per_epoch=100), config)
    assert rates[0] == pytest.approx(0.02)
    assert rates[50] == pytest.approx(0.2 * 0.55)
    assert rates[100] == max(rates) == 0.2
    assert all(a < b for a, b in pairwise(rates[:101]))
    assert all(a > b for a, b in pairwise(rates[100:]))
    assert rates[550] == pytest.approx(0.2 * 0.5**0.9)
    assert 0 < rates[-1] < 0.2 * 0.003


def test_a_training_of_one_epoch_is_not_all_warm_up():
    rates = schedule(job(steps=100, steps_per_epoch=100), TrainConfig(lr=1.0, warmup_epochs=1))
    assert rates.index(1.0) == 10
    assert rates[-1] < 0.02


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_the_shortest_trainings_have_a_rate(steps):
    rates = schedule(job(steps=steps, steps_per_epoch=steps), TrainConfig(lr=1.0))
    assert all(0 < rate <= 1 for rate in rates)


def test_without_warm_up_it_starts_at_the_full_rate():
    assert schedule(job(steps=10), TrainConfig(lr=1.0, warmup_epochs=0))[0] == 1.0


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_the_heads_have_their_own_rates(name):
    network = TinyNetwork(6)
    config = TrainConfig(optimizer=name, lr=0.01, aux_lr_factor=10, head_lr_factor=2, weight_decay=0.1)
    optimizer = make_optimizer(network, config)
    assert type(optimizer).__name__.lower() == name
    of = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    assert len(of) == len(list(network.parameters())), "each parameter in one group"
    for part, factor in (("backbone", 1), ("classifier", 2), ("aux_classifier", 10)):
        for parameter in getattr(network, part).parameters():
            group = of[id(parameter)]
            assert (group["lr_factor"], group["weight_decay"]) == (factor, 0.1)
            assert group["lr"] == pytest.approx(0.01 * factor)


def test_every_step_scales_every_group(tmp_path):
    config = TrainConfig(lr=0.01, aux_lr_factor=10)
    training = Training(TinyNetwork(6), job(), config, tmp_path / "t.pt", 255)
    training.run()
    rate = learning_rate(5, job().steps, job().steps_per_epoch, config)
    assert {g["lr"] for g in training.stepper.optimizer.param_groups} == {rate, rate * 10}


# The batches.


@pytest.mark.parametrize(("count", "size"), [(6, 2), (7, 3), (8, 8)])
def test_every_epoch_is_a_permutation(count, size):
    per_epoch = count // size
    batches = list(SeededBatches(count, size, 3 * per_epoch, seed=1))
    epochs = [batches[i : i + per_epoch] for i in range(0, len(batches), per_epoch)]
    orders = [[index for batch in epoch for index, _ in batch] for epoch in epochs]
    assert all(len(set(order)) == len(order) == per_epoch * size for order in orders)
    assert orders[0] != orders[1]
    if count == per_epoch * size:
        assert all(sorted(order) == list(range(count)) for order in orders)


def test_what_a_short_epoch_leaves_out_comes_in_others():
    batches = SeededBatches(5, 2, 40, seed=0)
    seen = Counter(index for batch in batches for index, _ in batch)
    assert set(seen) == set(range(5))


@pytest.mark.parametrize("views", [1, 3, 6, 7])
def test_the_rest_of_a_training_is_the_same_wherever_it_is_resumed(views):
    everything = list(SeededBatches(views, 3, 9, seed=5))
    for first in range(10):
        rest = SeededBatches(views, 3, 9, seed=5, first=first)
        assert list(rest) == everything[first:]
        assert len(rest) == 9 - first


@pytest.mark.parametrize("views", range(1, 10))
@pytest.mark.parametrize("size", [1, 2, 4])
def test_every_batch_is_full(views, size):
    batches = list(SeededBatches(views, size, 7, seed=0))
    assert [len(batch) for batch in batches] == [size] * 7
    assert all(0 <= index < views for batch in batches for index, _ in batch)
    assert steps_per_epoch(views, size) == max(1, views // size)


def test_few_views_are_repeated_evenly_with_other_augmentations():
    for batch in SeededBatches(2, 5, 3, seed=0):
        assert sorted(Counter(index for index, _ in batch).values()) == [2, 3]
        assert len({seed for _, seed in batch}) == 5


def test_the_seed_decides():
    one, same, other = (list(SeededBatches(6, 2, 3, seed=s)) for s in (1, 1, 2))
    assert one == same
    assert one != other


def loaded(workers: int, first: int = 0) -> list:
    return list(train_loader(views(), SeededBatches(6, 2, 4, seed=3, first=first), workers))


def test_augmentation_depends_on_seed_epoch_and_place_only():
    torch.manual_seed(1)
    alone = loaded(0)
    torch.manual_seed(2)  # the global generator has no say
    resumed = loaded(0, first=2)
    apart = loaded(2)
    assert [b.ids for b in apart] == [b.ids for b in alone]
    for one, other in zip([*alone, *alone[2:]], [*apart, *resumed]):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    assert not torch.equal(alone[0].images, alone[3].images)


def test_a_view_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, again, other = views()[0, 5][1][0], views()[0, 5][1][0], views()[0, 6][1][0]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


# Stopping and going on.


def fresh() -> TinyNetwork:
    torch.manual_seed(0)
    return TinyNetwork(6)


def untimed(history: list[dict]) -> list[dict]:
    """A history without its wall clock."""
    return [{k: v for k, v in r.items() if k not in ("seconds_steps", "seconds_eval")} for r in history]


def make_training(path, config=None, **changes) -> Training:
    config = config or TrainConfig(optimizer="adamw", lr=0.01, checkpoint_steps=1)
    changes = {"evaluate": lambda network: {"miou": network.backbone[0][0].weight.sum().item()}, **changes}
    return Training(fresh(), job(**changes), config, path, 255)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    training = make_training(tmp_path_factory.mktemp("whole") / "t.pt")
    return untimed(training.run()), training.network.state_dict()


@contextmanager
def stopping(monkeypatch, calls: int, name: str = "_one_step"):
    """KeyboardInterrupt in place of the call of a Training's method after `calls` calls."""
    real, left = getattr(Training, name), [calls]

    def patched(self, *args, **kwargs):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Training, name, patched)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.mark.parametrize(
    ("method", "calls"),
    # What is stored after the sixth and last step is the caller's.
    [*product(["_one_step", "_after_step"], range(6)), *product(["_store"], range(5))],
)
def test_stopped_anywhere_and_resumed_is_bit_identical(tmp_path, monkeypatch, undisturbed, method, calls):
    with stopping(monkeypatch, calls, method):
        make_training(tmp_path / "t.pt").run()
    resumed = make_training(tmp_path / "t.pt")
    assert resumed.step == calls
    assert untimed(resumed.run()) == undisturbed[0]
    assert same_tensors(resumed.network.state_dict(), undisturbed[1])


def test_stopped_at_every_step_in_turn(tmp_path, monkeypatch, undisturbed):
    for step in range(6):
        with stopping(monkeypatch, 1 if step else 0):
            make_training(tmp_path / "t.pt").run()
    resumed = make_training(tmp_path / "t.pt")
    assert resumed.step == 5
    assert untimed(resumed.run()) == undisturbed[0]
    assert same_tensors(resumed.network.state_dict(), undisturbed[1])


def test_without_checkpoint_steps_it_goes_on_from_the_epoch(tmp_path, monkeypatch, undisturbed):
    config = TrainConfig(optimizer="adamw", lr=0.01)
    with stopping(monkeypatch, 5):
        make_training(tmp_path / "t.pt", config).run()
    resumed = make_training(tmp_path / "t.pt", config)
    assert resumed.step == 3
    assert untimed(resumed.run()) == undisturbed[0]


class Clock:
    """Counts a second a step, ten an evaluation, in place of the time module."""

    now = 0.0

    def perf_counter(self) -> float:
        return self.now

    def spends(self, monkeypatch, name: str, seconds: float) -> None:
        real = getattr(Training, name)

        def slow(training, *args):
            self.now += seconds
            return real(training, *args)

        monkeypatch.setattr(Training, name, slow)

    def evaluate(self, network) -> dict:
        self.now += 10
        return {"miou": 0.0}


@pytest.mark.parametrize("calls", [2, 3, 4])
def test_seconds_of_steps_and_evaluation_outlive_an_interruption(tmp_path, monkeypatch, calls):
    clock = Clock()
    monkeypatch.setattr(engine, "time", clock)
    clock.spends(monkeypatch, "_one_step", 1)
    clock.spends(monkeypatch, "_store", 100)  # neither the one nor the other
    with stopping(monkeypatch, calls):
        make_training(tmp_path / "t.pt", evaluate=clock.evaluate).run()
    resumed = make_training(tmp_path / "t.pt", evaluate=clock.evaluate)
    assert resumed.seconds_before == calls + 100 * calls + (10 if calls > 2 else 0)
    history = resumed.run()
    assert [(r["seconds_steps"], r["seconds_eval"]) for r in history] == [(3, 10), (3, 10)]


def test_the_state_of_another_training_is_not_taken(tmp_path, monkeypatch):
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    assert make_training(tmp_path / "t.pt", key="other").step == 0


def test_what_is_stored_loads_with_weights_only(tmp_path, monkeypatch):
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    content = torch.load(tmp_path / "t.pt", weights_only=True)
    assert {"key", "model", "optimizer", "history", "step", "loss_sum"} <= content.keys()
    assert checkpoint.load(tmp_path / "t.pt")["step"] == 4


def test_history_has_a_record_an_epoch(tmp_path, undisturbed):
    history, _ = undisturbed
    assert [(r["epoch"], r["step"]) for r in history] == [(1, 3), (2, 6)]
    assert all({"loss", "lr", "miou"} <= r.keys() for r in history)
    config = TrainConfig(eval_every=2)
    seen = []
    history = make_training(tmp_path / "t.pt", config, steps=8).run(lambda r: seen.append(dict(r)))
    assert [r["step"] for r in history] == [3, 6, 8]  # the last one is short
    assert ["miou" in r for r in history] == [False, True, True]
    assert seen == history


def test_a_loss_that_is_not_finite_names_the_images(tmp_path):
    network = fresh()
    with torch.no_grad():
        network.classifier[1].weight.fill_(float("nan"))
    training = Training(network, job(), TrainConfig(), tmp_path / "t.pt", 255)
    first = next(iter(SeededBatches(6, 2, 6, seed=7)))
    names = ", ".join(Pictures.ids[index] for index, _ in first)
    with pytest.raises(UserError, match=rf"loss nan at step 0, images {names} \("):
        training.run()
    found = json.loads((tmp_path / "not_finite.json").read_text())
    assert found == {"training": "t", "step": 0, "loss": "nan", "ids": names.split(", ")}


def test_weights_that_are_not_finite_are_not_kept(tmp_path, monkeypatch):
    """The step before the end of an epoch makes them; its loss was finite."""
    real, seen = optimization.segmentation_loss, []

    def spoiling(*args):
        seen.append(None)
        if len(seen) == 3:
            network.classifier[1].weight.register_hook(lambda gradient: gradient * float("inf"))
        return real(*args)

    monkeypatch.setattr(optimization, "segmentation_loss", spoiling)
    network, scored, epochs = fresh(), [], []
    config = TrainConfig(optimizer="sgd", lr=0.01, checkpoint_steps=1)
    training = Training(
        network, job(evaluate=lambda n: scored.append(n) or {}), config, tmp_path / "t.pt", 255
    )
    said = r"^t: classifier\.1\.weight is not finite after step 3, so .* is not kept; lower --train\.lr"
    with pytest.raises(UserError, match=said):
        training.run(epochs.append)
    assert (scored, epochs) == ([], [])
    stored = checkpoint.load(tmp_path / "t.pt")
    assert stored["step"] == 2
    assert all(value.isfinite().all() for value in stored["model"].values())


def test_a_mask_that_was_never_finite_is_let_be(tmp_path):
    network = fresh()
    network.register_buffer("mask", torch.tensor([0.0, float("-inf")]))
    training = Training(network, job(), TrainConfig(checkpoint_steps=1), tmp_path / "t.pt", 255)
    assert len(training.run()) == 2


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_stores_it(tmp_path, monkeypatch, signum):
    """The third step is taken whole although the signal comes in its middle, and is not taken again."""
    want = make_training(tmp_path / "whole.pt")
    want.run()
    real, taken = optimization.segmentation_loss, []

    def signalling(*args):
        taken.append(None)
        if len(taken) == 3:
            os.kill(os.getpid(), signum)
        return real(*args)

    monkeypatch.setattr(optimization, "segmentation_loss", signalling)
    with handled(), pytest.raises(Interrupted) as stopped:
        make_training(tmp_path / "t.pt").run()
    assert stopped.value.code == 128 + signum
    assert len(taken) == 3
    resumed = make_training(tmp_path / "t.pt")
    assert resumed.step == 3
    resumed.run()
    assert len(taken) == 6
    assert same_tensors(resumed.network.state_dict(), want.network.state_dict())


def test_a_signal_while_the_loader_hangs(tmp_path, monkeypatch, undisturbed):
    def hangs(*args):
        batches = iter(train_loader(*args))
        yield from (next(batches), next(batches))
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal waited for the batch")

    with monkeypatch.context() as patch, handled():
        patch.setattr("rws.training.training.train_loader", hangs)
        with pytest.raises(Interrupted) as stopped:
            make_training(tmp_path / "t.pt").run()
    assert stopped.value.code == 143
    resumed = make_training(tmp_path / "t.pt")
    assert resumed.step == 2
    assert untimed(resumed.run()) == undisturbed[0]


def test_a_second_signal_does_not_wait(tmp_path, monkeypatch):
    def signalling(*args):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(optimization, "segmentation_loss", signalling)
    with handled(), pytest.raises(Interrupted) as stopped:
        make_training(tmp_path / "t.pt").run()
    assert stopped.value.code == 143
    assert not (tmp_path / "t.pt").exists()


def test_checkpoints_by_the_clock(tmp_path, monkeypatch):
    """A clock that moves a minute at each look: due at every step for one minute, never for a year."""
    now = itertools.count(step=60.0)
    monkeypatch.setattr(engine.time, "perf_counter", lambda: next(now))
    stored = {}
    for minutes in (1.0, 525600.0):
        count = stored[minutes] = []
        config = TrainConfig(checkpoint_minutes=minutes)
        training = make_training(tmp_path / f"{minutes}.pt", config, steps_per_epoch=6)
        monkeypatch.setattr(training, "_store", lambda count=count: count.append(None))
        training.run()
    assert len(stored[1.0]) == 5
    assert stored[525600.0] == []


def test_fp16_trains_with_a_scaler_that_goes_on_where_it_was(tmp_path, monkeypatch):
    config = TrainConfig(precision="fp16", checkpoint_steps=1)
    whole = make_training(tmp_path / "whole.pt", config)
    assert all(math.isfinite(record["loss"]) for record in whole.run())
    assert whole.stepper.scaler.get_scale() > 1
    with stopping(monkeypatch, 3):
        make_training(tmp_path / "t.pt", config).run()
    resumed = make_training(tmp_path / "t.pt", config)
    assert resumed.step == 3
    assert resumed.stepper.scaler.state_dict() == checkpoint.load(tmp_path / "t.pt")["scaler"]
    resumed.run()
    assert same_tensors(resumed.network.state_dict(), whole.network.state_dict())


@pytest.mark.parametrize("count", [1, 3])
def test_fewer_views_than_a_batch_still_train(tmp_path, count):
    few = {"views": views(count), "batch_size": 4, "steps_per_epoch": 1, "steps": 2}
    history = make_training(tmp_path / "t.pt", **few).run()
    assert [r["step"] for r in history] == [1, 2]


@pytest.mark.parametrize("keep", [0, 0.5])
def test_from_a_damaged_state_it_goes_on_from_the_one_before(
    tmp_path, monkeypatch, capsys, undisturbed, keep
):
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    content = (tmp_path / "t.pt").read_bytes()
    (tmp_path / "t.pt").write_bytes(content[: int(keep * len(content))])
    resumed = make_training(tmp_path / "t.pt")
    assert resumed.step == 3
    assert "t.pt: not a readable checkpoint" in capsys.readouterr().out
    resumed.run()
    assert same_tensors(resumed.network.state_dict(), undisturbed[1])


@pytest.mark.parametrize("name", ["t.pt", "t.before.pt"])
def test_one_of_two_states_is_enough(tmp_path, monkeypatch, capsys, undisturbed, name):
    """A kill between the renames of a store leaves the older one alone."""
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    (tmp_path / {"t.pt": "t.before.pt", "t.before.pt": "t.pt"}[name]).unlink()
    resumed = make_training(tmp_path / "t.pt")
    assert resumed.step == {"t.pt": 4, "t.before.pt": 3}[name]
    assert "warning" not in capsys.readouterr().out
    resumed.run()
    assert same_tensors(resumed.network.state_dict(), undisturbed[1])


def test_a_wrong_bit_in_the_name_of_the_format_is_damage_as_any_other(tmp_path, monkeypatch, capsys):
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    content = (tmp_path / "t.pt").read_bytes()
    name = b"\x06\x00\x00\x00format"  # as a pickle has it
    assert content.count(name) == 1
    (tmp_path / "t.pt").write_bytes(content.replace(name, name.replace(b"f", b"g")))
    assert make_training(tmp_path / "t.pt").step == 3
    assert "t.pt: not a checkpoint of this project" in capsys.readouterr().out


def test_where_both_states_are_damaged_it_begins_anew_and_says_so(tmp_path, monkeypatch, capsys):
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    for name in ("t.pt", "t.before.pt"):
        (tmp_path / name).write_bytes(b"")
    assert make_training(tmp_path / "t.pt").step == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.rpartition("; ")[2] for line in said] == [
        "going on from the state before it",
        "going on from the beginning",
    ]


@pytest.mark.parametrize("change", [{"steps": 7}, {"views": views(5)}])
def test_a_training_of_another_size_is_another(tmp_path, monkeypatch, change):
    with stopping(monkeypatch, 4):
        make_training(tmp_path / "t.pt").run()
    assert make_training(tmp_path / "t.pt", **change).step == 0
