"""Reading files of weights: what is refused and in which words, and what is copied."""

import dataclasses
import hashlib
import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from rws import models
from rws.errors import UserError
from rws.models import FAMILIES, build_network, load_matching, read_weights

COCO = {
    "deeplabv3_resnet50": ("cd0a2569", "deeplabv3_resnet50_coco"),
    "deeplabv3_resnet101": ("586e9e4e", "deeplabv3_resnet101_coco"),
    "deeplabv3_mobilenet_v3_large": ("fc3c493d", "deeplabv3_mobilenet_v3_large"),
}


class Tiny(nn.Module):
    """A body and a head; stands for any network."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 1)
        self.head = nn.Conv2d(4, num_classes, 1)


class Exploit:
    """Unpickling it makes a folder: the proof that code ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return Tiny().state_dict()


def assert_one_line(error: pytest.ExceptionInfo, path: Path) -> None:
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", COCO)
def test_missing_file_names_the_address_and_the_way_out(name, tmp_path) -> None:
    prefix, stem = COCO[name]
    with pytest.raises(UserError, match=r"--model\.weights none") as error:
        build_network(name, 21, weights_dir=tmp_path)
    assert f"https://download.pytorch.org/models/{stem}-{prefix}.pth" in str(error.value)
    assert_one_line(error, tmp_path / f"{name}_coco.pth")


def test_missing_path_is_named(tmp_path) -> None:
    with pytest.raises(UserError, match="no such weights file") as error:
        build_network("deeplabv3_resnet50", 21, weights=str(tmp_path / "mine.pth"))
    assert_one_line(error, tmp_path / "mine.pth")


@pytest.mark.parametrize("name", COCO)
@pytest.mark.parametrize("named_as", ["ours", "downloaded"])
@pytest.mark.parametrize("asked", ["auto", "path"])
def test_file_of_another_hash_is_refused_with_both_hashes(name, named_as, asked, tmp_path, state) -> None:
    prefix, stem = COCO[name]
    path = tmp_path / (f"{name}_coco.pth" if named_as == "ours" else f"{stem}-{prefix}.pth")
    torch.save(state, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    with pytest.raises(UserError, match=f"begins with {found}, expected {prefix}") as error:
        build_network(name, 21, weights="auto" if asked == "auto" else str(path), weights_dir=tmp_path)
    assert_one_line(error, path)


def test_auto_loads_the_file_of_the_expected_hash(monkeypatch, tmp_path) -> None:
    name = "deeplabv3_mobilenet_v3_large"
    torch.manual_seed(0)
    network, _ = build_network(name, 21, weights="none")
    path = tmp_path / FAMILIES[name].weights_file
    torch.save(network.state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    family = dataclasses.replace(FAMILIES[name], download=f"https://example.org/coco-{digest[:8]}.pth")
    monkeypatch.setitem(models.FAMILIES, name, family)

    loaded, report = build_network(name, 21, aux=False, weights_dir=tmp_path)
    assert report.source == str(path)
    assert report.missing == ()
    aux_keys = tuple(key for key in network.state_dict() if key.startswith("aux_classifier."))
    assert report.dropped == aux_keys
    assert report.loaded == len(loaded.state_dict())
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("nested", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_nesting_and_wrapper_prefixes_are_undone(nested, prefix, tmp_path, state) -> None:
    saved = {prefix + key: value for key, value in state.items()}
    content = {"format": 1, "epoch": 4, nested: saved} if nested else saved
    torch.save(content, tmp_path / "w.pt")
    read = read_weights(tmp_path / "w.pt")
    assert list(read) == list(state)
    assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize("legacy", [False, True])
def test_truncated_file_is_one_clear_error(legacy, tmp_path, state) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match="truncated") as error:
        read_weights(path)
    assert_one_line(error, path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"\n<html>", "HTML"),
        (b"", "0 bytes"),
        (b"\x00\xff" * 50, "100 bytes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "bytes"),
    ],
)
def test_file_that_is_not_weights_is_one_clear_error(content, words, tmp_path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words) as error:
        read_weights(path)
    assert_one_line(error, path)


@pytest.mark.parametrize("save", [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x))])
def test_pickled_code_is_refused_and_not_run(save, tmp_path, state) -> None:
    path, proof = tmp_path / "w.pth", tmp_path / "code_ran"
    save({"model": state, "args": Exploit(proof)}, path)
    with pytest.raises(UserError) as error:
        read_weights(path)
    assert_one_line(error, path)
    assert not proof.exists()


def test_a_checkpoint_with_a_namespace_is_refused_with_the_reason(tmp_path, state) -> None:
    import argparse

    torch.save({"model": state, "args": argparse.Namespace(lr=1)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="Python objects besides tensors"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("content", [{"epoch": 3}, {"model": {}}, [1, 2], torch.zeros(2)])
def test_file_without_named_tensors_is_refused(content, tmp_path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UserError, match="holds no named tensors"):
        read_weights(tmp_path / "w.pth")


def test_matching_tensors_are_copied_and_the_rest_is_listed(state) -> None:
    network = Tiny(num_classes=5)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    report = load_matching(network, {**state, "extra.weight": torch.zeros(1)}, "w.pth")
    assert (report.source, report.loaded) == ("w.pth", 2)
    assert report.dropped == ("head.weight", "head.bias", "extra.weight")
    assert report.missing == ("head.weight", "head.bias")
    after = network.state_dict()
    assert all(torch.equal(after[k], state[k] if k.startswith("body") else before[k]) for k in after)
    assert str(report) == (
        "weights: 2 tensors from w.pth; dropped from the file: head, extra; randomly initialised: head"
    )


def test_no_tensor_that_fits_names_the_file_and_keys_of_both() -> None:
    with pytest.raises(UserError) as error:
        load_matching(Tiny(), {"encoder.weight": torch.zeros(1), "head.bias": torch.zeros(9)}, "w.pth")
    assert all(text in str(error.value) for text in ("w.pth", "encoder.weight", "body.weight"))
