"""Every command: a wrong flag is one line with the nearest known one; only the commands see argparse."""

import ast
import importlib
from pathlib import Path

import pytest
from tiny import REPOSITORY, load_script

from rws.errors import Parser, UserError

WRONG = [
    ("predict", "--outptu out", "--output"),
    ("predict", "--cam_method layercam", "--cam-method"),
    ("predict", "--out out", "--output"),
    ("predict", "--tta rotate --inptu=a", "--input"),
    ("predict", "-output out", "--output"),
    ("predict", "--exprot onnx net.onnx", "--export"),
    ("predict", "--export onnx net.onnx --chekpoint a.pt", "--checkpoint"),
    ("rws.commands.export", "--fromat onnx", "--format"),
    ("rws.commands.completion", "--hlep", "--help"),
    ("rws.look.guide", "--chekpoint a.pt", "--checkpoint"),
    ("rws.look.guide", "--data.rot data", "--data.root"),
    ("rws.report.__main__", "--data.rot data", "--data.root"),
    ("rws.report.__main__", "runs/demo --devcie cpu", "--device"),
    ("rws.compare.__main__", "--seds 1", "--seeds"),
    ("rws.compare.__main__", "--train.epoch 1", "--train.epochs"),
    ("rws.compare.ways", "--wyas plain", "--ways"),
    ("rws.compare.ways", "--hafl first", "--half"),
    ("rws.compare.join", "--rams rws", "--arms"),
    ("rws.data.download.__main__", "--rot data", "--root"),
    ("rws.data.sets.demo", "--seeed 1", "--seed"),
]


@pytest.mark.parametrize(("command", "flags", "nearest"), WRONG)
def test_a_wrong_flag_comes_with_the_nearest_even_where_others_are_missing(command, flags, nearest, capsys):
    main = (load_script(command) if command == "predict" else importlib.import_module(command)).main
    assert main(flags.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    wrong = next(f for f in reversed(flags.split()) if f.startswith("-")).partition("=")[0]
    assert line == f"error: command line: {wrong}: unknown; the nearest known one is {nearest}"


def test_a_retired_flag_of_training_still_says_so(capsys):
    main = importlib.import_module("rws.look.guide").main
    assert main(["--model.name", "lraspp_mobilenet_v3_large", "--train.slice-aim", "0.5"]) == 2
    assert "train.slice_aim '0.5' is retired" in capsys.readouterr().err


def test_what_is_no_flag_is_left_alone():
    parser = Parser("command", None, further=["--data.cam_vis"])
    parser.add_argument("--shift", type=int)
    parser.add_argument("--titles", nargs="+")
    parser.add_argument("rest", nargs="*")
    flags = ["--shift", "-5", "--titles", "-- a", "b c", "--data.cam-vis", "--", "--shfit"]
    given, others = parser.parse_known_args(flags)
    assert (given.shift, given.titles, given.rest) == (-5, ["-- a", "b c"], ["--shfit"])
    assert others == ["--data.cam-vis"]


def test_no_flag_is_taken_for_one_that_it_begins():
    parser = Parser("command", None)
    parser.add_argument("--checkpoint")
    with pytest.raises(UserError, match="--check: unknown; the nearest known one is --checkpoint"):
        parser.parse_args(["--check", "a"])


def _names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return used | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_only_the_parser_handles_what_argparse_gives():
    """Everything else takes dataclasses: no other module names argparse's Namespace."""
    files = [*(REPOSITORY / "rws").rglob("*.py"), REPOSITORY / "predict.py", REPOSITORY / "train.py"]
    found = {path.relative_to(REPOSITORY).as_posix() for path in files if "Namespace" in _names(path)}
    assert found == {"rws/errors.py"}
