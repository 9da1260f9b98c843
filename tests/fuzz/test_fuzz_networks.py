"""Weights and checkpoints of other shapes, kinds and wrappings, and damaged ones."""

import io
import pickle
import random
from pathlib import Path

import pytest
import torch
from fuzz import ODD, bent, changed, sample_and_all, try_all, wrong
from tiny import TinyNetwork, load_script

from rws.look import guide

train, predict = load_script("train"), load_script("predict")
KINDS = (torch.float16, torch.float64, torch.bfloat16, torch.int8, torch.int64, torch.bool, torch.complex64)


def tensors(rng: random.Random, state: dict) -> dict:
    """Named tensors of which some have another kind, shape, name or value."""
    state = dict(state)
    for key in rng.sample(sorted(state), k=rng.choice((1, 3, len(state)))):
        value = state.pop(key)
        make = rng.choice(
            (
                lambda v: v.to(rng.choice(KINDS)),
                lambda v: v[None],
                lambda v: v.flatten()[:0],
                lambda v: v.new_zeros((3, 3)),
                lambda v: torch.full_like(v.float(), float("nan")),
                lambda v: v.to_sparse() if v.ndim else v,
                lambda v: v.to("meta"),
                lambda v: torch.nn.Parameter(v.float()),
                lambda v: torch.zeros(()).expand(10**6, 10**6),
                lambda v: torch.quantize_per_tensor(v.float(), 0.1, 0, torch.qint8),
                lambda v: v.float().clone().requires_grad_(),
                lambda v: v.tolist(),
                lambda v: rng.choice(ODD),
            )
        )
        names = (key, key, key, f"module.{key}", key.upper(), "", 0, None)
        state[rng.choice(names)] = make(value)
    return state


def saved(rng: random.Random, content: object) -> bytes:
    """In one of torch's formats or another's, now and then damaged."""
    file = io.BytesIO()
    try:
        torch.save(content, file, _use_new_zipfile_serialization=rng.random() < 0.8)
    except Exception:  # not every odd tensor can be saved
        file = io.BytesIO(pickle.dumps({"a": 1}, protocol=rng.choice((0, 2, 5))))
    return bent(rng, file.getvalue()) if rng.random() < 0.4 else file.getvalue()


@sample_and_all(12, 500)
def test_weights(numbers, tmp_path, spoilable):
    state = TinyNetwork(3).state_dict()

    def attempt(rng: random.Random, place: Path) -> str:
        spoilable(place)
        content: object = tensors(rng, state) if rng.random() < 0.8 else state
        wrapped = (
            {"model": content},
            {"state_dict": content, "epoch": 3},
            [content],
            (content, 1),
            {"a": {"b": content}},
        )
        content = rng.choice((content, content, *wrapped, rng.choice(ODD)))
        file = place / f"w{rng.choice(('.pth', '.pt', '.ckpt', '.safetensors', '.bin', ''))}"
        file.write_bytes(saved(rng, content))
        return wrong(train.main, "--config", place / "c.yaml", "--model.weights", file)

    try_all(tmp_path, numbers, attempt, "weights")


def spoilt(rng: random.Random, content: dict) -> object:
    """A checkpoint with another card, tensors or keys; without its checksum, as old ones are."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    if rng.random() < 0.3:
        content["model"] = tensors(rng, content["model"])
    if rng.random() < 0.7:
        content["card"] = changed(rng, content["card"])
    if rng.random() < 0.2:
        content = changed(rng, content)
    return content


@sample_and_all(15, 600)
def test_checkpoints(numbers, tmp_path, checkpoint, good_set):
    content = torch.load(checkpoint, weights_only=True)

    def attempt(rng: random.Random, place: Path) -> str:
        file = place / "best.pt"
        file.write_bytes(saved(rng, spoilt(rng, content)))
        if rng.random() < 0.2:
            flags = ("--data.name", "folder", "--data.root", good_set, "--device", "cpu")
            return wrong(guide.main, "--checkpoint", file, *flags)
        if rng.random() < 0.1:
            return wrong(predict.main, "--export", "torchscript", place / "n.pt", "--checkpoint", file)
        flags = ("--input", good_set / "images/im0.jpg", "--output", place / "out", "--device", "cpu")
        return wrong(predict.main, "--checkpoint", file, *flags, *rng.choice(((), ("--cam", "disc"))))

    try_all(tmp_path, numbers, attempt, "checkpoint")


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_pickle_nested_deeply(tmp_path, depth, checkpoint, good_set):
    """As pickle's own code writes it: lists within lists."""
    file = tmp_path / "best.pt"
    file.write_bytes(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    flags = ("--input", good_set / "images/im0.jpg", "--output", tmp_path / "out")
    assert wrong(predict.main, "--checkpoint", file, *flags) == ""
