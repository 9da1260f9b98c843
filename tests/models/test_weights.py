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
from rws.data.download.__main__ import SOURCES
from rws.errors import UserError
from rws.models import FAMILIES, build_network, load_matching, read_weights
from rws.models.family import published_file

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


def prefixed(state: dict, *prefixes: str) -> dict:
    return {prefix + key: value for prefix in prefixes for key, value in state.items()}


WRAPPINGS = {
    "plain": lambda s: s,
    "a dictionary": lambda s: {"epoch": 3, "model_state_dict": s, "optimizer_state_dict": {"state": {}}},
    "another": lambda s: {"net": s, "acc": 0.5, "seen": torch.tensor(7)},
    "two dictionaries": lambda s: {"checkpoint": {"model": s, "epoch": torch.tensor(3)}},
    "an optimizer beside it": lambda s: {
        "network": s,
        "optimizer": {
            "state": {0: {"exp_avg": torch.ones(4), "step": torch.tensor(1.0)}},
            "param_groups": [],
        },
    },
    "DataParallel": lambda s: prefixed(s, "module."),
    "torch.compile": lambda s: prefixed(s, "_orig_mod."),
    "both": lambda s: prefixed(s, "module._orig_mod."),
    "both, turned": lambda s: {"state_dict": prefixed(s, "_orig_mod.module.")},
    "a part compiled": lambda s: {k.replace("body.", "body._orig_mod."): v for k, v in s.items()},
    "Lightning": lambda s: {
        "state_dict": {**prefixed(s, "model."), "loss.weight": torch.ones(3)},
        "epoch": 3,
    },
    "Lightning, compiled": lambda s: {"state_dict": prefixed(s, "net._orig_mod.")},
    "a moving average": lambda s: {"n_averaged": torch.tensor(5), **prefixed(s, "module.")},
    "the same twice": lambda s: {"model": s, "model_ema": {"module": dict(s)}},
    "part by part": lambda s: {
        part: {k.split(".")[1]: v for k, v in s.items() if k.startswith(part)} for part in ("body", "head")
    },
    "a teacher beside the network": lambda s: {**s, **prefixed({k: v + 1 for k, v in s.items()}, "teacher.")},
    "half precision": lambda s: {"model": {k: v.half() for k, v in s.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_weights_are_found_in_what_was_saved_around_them(wrapping, tmp_path, state) -> None:
    torch.save(WRAPPINGS[wrapping](state), tmp_path / "w.pt")
    network = Tiny()
    report = load_matching(network, read_weights(tmp_path / "w.pt"), "w.pt")
    assert (report.loaded, report.missing) == (len(state), ())
    wanted = {key: value.half().float() if "half" in wrapping else value for key, value in state.items()}
    assert all(torch.equal(value, wanted[key]) for key, value in network.state_dict().items())


def test_the_report_says_where_they_were_and_what_else_there_was(tmp_path, state) -> None:
    torch.save(WRAPPINGS["Lightning"](state), tmp_path / "w.pt")
    report = load_matching(Tiny(num_classes=5), read_weights(tmp_path / "w.pt"), "w.pt")
    assert str(report) == (
        "weights: 2 tensors from w.pt (under state_dict.model); dropped from the file: head, "
        "state_dict.loss; randomly initialised: head"
    )


@pytest.mark.parametrize(
    ("wrapping", "places"),
    [
        (lambda one, two: {"model": one, "model_ema": two}, "'model' and under 'model_ema'"),
        (
            lambda one, two: {"state_dict": {**prefixed(one, "student."), **prefixed(two, "teacher.")}},
            "'state_dict.student' and under 'state_dict.teacher'",
        ),
        (lambda one, two: {"net": one, "ema": {"module": two}}, "'net' and under 'ema.module'"),
        (
            lambda one, two: {**prefixed(one, "module."), **prefixed(two, "model.")},
            "'module' and under 'model'",
        ),
    ],
)
def test_networks_of_other_values_in_one_file_are_named(wrapping, places, tmp_path, state) -> None:
    other = {key: value + 1 for key, value in state.items()}
    torch.save(wrapping(state, other), tmp_path / "w.pt")
    network, before = Tiny(), Tiny().state_dict()
    network.load_state_dict(before)
    with pytest.raises(UserError, match="holds this network more than once") as error:
        load_matching(network, read_weights(tmp_path / "w.pt"), str(tmp_path / "w.pt"))
    assert places in str(error.value)
    assert_one_line(error, tmp_path / "w.pt")
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_a_file_that_holds_the_backbone_alone_takes_its_prefix(state) -> None:
    backbone = {"weight": state["body.weight"], "bias": state["body.bias"], "fc.weight": torch.zeros(9, 9)}
    for tensors in (backbone, prefixed(backbone, "module."), prefixed(backbone, "state_dict.model.")):
        network = Tiny()
        report = load_matching(network, tensors, "w.pt", key_prefix="body.")
        assert (report.loaded, report.dropped) == (2, ("fc.weight",))
        assert torch.equal(network.body.weight, state["body.weight"])


def test_a_layer_of_another_network_is_no_way_to_read_it(state) -> None:
    """One tensor of five fits by chance behind a prefix."""
    tensors = {f"decoder.layer{i}.weight": torch.zeros(1) for i in range(4)}
    with pytest.raises(UserError, match="no tensor fits the network"):
        load_matching(Tiny(), {**tensors, "decoder.head.bias": torch.zeros(3)}, "w.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value, state) -> None:
    state["head.bias"][1] = value
    with pytest.raises(UserError, match=r"w\.pth: head\.bias holds values that are not finite"):
        load_matching(Tiny(), state, "w.pth")


def test_whole_numbers_are_not_taken_for_weights(state) -> None:
    quantised = {key: (100 * value).to(torch.int8) for key, value in state.items()}
    with pytest.raises(UserError, match="no tensor fits the network"):
        load_matching(Tiny(), quantised, "w.pth")


def test_a_file_of_safetensors(tmp_path, state) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(prefixed(state, "model."), tmp_path / "w.safetensors")
    network = Tiny()
    load_matching(network, read_weights(tmp_path / "w.safetensors"))
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    (tmp_path / "w.safetensors").write_bytes((tmp_path / "w.safetensors").read_bytes()[:-9])
    with pytest.raises(UserError, match="cannot read these") as error:
        read_weights(tmp_path / "w.safetensors")
    assert_one_line(error, tmp_path / "w.safetensors")


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_a_network_of_torchscript_is_told(tmp_path) -> None:
    torch.jit.trace(nn.Conv2d(3, 2, 1), torch.zeros(1, 3, 4, 4)).save(str(tmp_path / "w.pt"))
    with pytest.raises(UserError, match=r"torch\.jit\.load\(FILE\)\.state_dict\(\)") as error:
        read_weights(tmp_path / "w.pt")
    assert_one_line(error, tmp_path / "w.pt")


def test_dictionaries_that_hold_themselves_end(tmp_path) -> None:
    content: dict = {"epoch": 3}
    content["self"] = content
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=r"its keys are epoch, self\); save state_dict"):
        read_weights(tmp_path / "w.pt")


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_file_cut_anywhere_is_one_clear_error(legacy, kept, tmp_path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.zeros(20_000)}, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match="truncated") as error:
        read_weights(path)
    assert_one_line(error, path)


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
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
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


def test_weights_that_we_download_are_named_by_our_command(tmp_path):
    """For every network whose weights the command gets; for others the address of the publisher."""
    ours = {name for name, family in FAMILIES.items() if family.weights_file == published_file(name)}
    assert ours == {name for name in SOURCES if name in FAMILIES}
    for name, family in FAMILIES.items():
        if family.weights_file:
            with pytest.raises(UserError, match="not found; ") as error:
                build_network(name, 3, weights_dir=tmp_path)
            get = f"run `rws download {name} --root {tmp_path}`" if name in ours else family.download
            assert get in str(error.value)
            assert_one_line(error, tmp_path / family.weights_file)
    with pytest.raises(UserError, match=r"`rws download fcn_resnet50`, or pass --model\.weights none"):
        build_network("fcn_resnet50", 3, weights_dir="weights")
