"""The flags of predict.py as the command that they become, and what is refused of them."""

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from tiny import REPOSITORY

from rws.errors import UserError
from rws.look.cam_methods import TITLES
from rws.predict.export.formats import FORMATS
from rws.predict.flags import CAM_METHODS, FILM_FORMS
from rws.predict.options import (
    ExportCommand,
    FilmOptions,
    PredictCommand,
    is_export,
    parse,
    parse_export,
)
from rws.predict.video.sinks import SINKS
from rws.predict.ways import PredictOptions, Windows

GIVEN = ["--input", "in", "--output", "out"]
ONE = ["--checkpoint", "a.pt", *GIVEN]
TWO = ["--compare", "a.pt", "b.pt", *GIVEN]


def test_a_plain_command():
    assert parse(ONE) == PredictCommand((Path("a.pt"),), (Path("in"),), Path("out"))


@pytest.mark.parametrize(
    ("flags", "network", "sources"),
    [
        ("a.jpg", "deeplabv3_resnet50", "a.jpg"),
        ("a.jpg photos b.jpg --ways flip", "deeplabv3_resnet50", "a.jpg photos b.jpg"),
        ("--model mine:net --cam cat 0", "mine:net", "0"),
        ("--ways flip --model fcn_resnet50 --input a.jpg", "fcn_resnet50", "a.jpg"),
    ],
)
def test_a_first_picture_needs_no_flag(flags, network, sources):
    command = parse(flags.split())
    assert command.networks == (network,)
    assert command.sources == tuple(map(Path, sources.split()))
    assert command.output == Path("seen")


def test_every_flag_of_photographs_arrives():
    more = ["--tta", "flip", "--slide", "513", "--cam", "cat", "--cam-method", "layercam", "--device", "cpu"]
    more += ["--legend", "none", "--cam-whole"]
    assert parse([*ONE, *more]) == PredictCommand(
        (Path("a.pt"),),
        (Path("in"),),
        Path("out"),
        PredictOptions("flip", windows=Windows(513, 342)),
        cam="cat",
        cam_method="layercam",
        legend="none",
        cam_whole=True,
        device="cpu",
    )


def test_every_flag_of_films_and_comparisons_arrives():
    films = ["--sequence", "dog,cows", "--format", "gif", "--fps", "23.976", "--foreground", "cat"]
    more = ["--ways", "flip", "--titles", "plain", "with RWS", "--width", "640"]
    assert parse([*TWO, *films, *more]) == PredictCommand(
        ("a.pt", "b.pt"),
        (Path("in"),),
        Path("out"),
        PredictOptions("flip"),
        FilmOptions("dog,cows", "gif", Fraction("23.976"), "cat"),
        titles=("plain", "with RWS"),
        width=640,
    )


def test_an_export():
    flags = ["--export", "onnx", "net.onnx", "--checkpoint", "a.pt"]
    assert is_export(flags)
    assert is_export(["--export-size=3"])
    assert not is_export(ONE)
    assert parse_export(flags) == ExportCommand("onnx", Path("net.onnx"), Path("a.pt"))
    fixed = parse_export([*flags, "--export-size", "64", "96"])
    assert fixed == ExportCommand("onnx", Path("net.onnx"), Path("a.pt"), (64, 96))


@pytest.mark.parametrize(("slide", "stride"), [(["513"], 342), (["100", "--stride", "100"], 100)])
def test_windows(slide, stride):
    assert parse([*ONE, "--slide", *slide]).options.windows == Windows(int(slide[0]), stride)


REFUSED = {
    "--stride 5": "--stride 5 is for sliding windows; give --slide",
    "--slide 0": "--slide 0: a window needs 32 pixels",
    "--slide -513": "--slide -513: a window needs 32 pixels",
    "--slide 100 --stride 101": "--stride 101: must be 1 to 100, the window",
    "--slide 100 --stride 0": "--stride 0: must be 1 to 100",
    "--slide 100 --tta quarters": "--ways quarters enlarges parts of the whole image",
    "--refine": "--refine is retired, for --ways rws gains more with fewer passes",
    "--cam-method layercam": "--cam-method layercam is of heat maps; give --cam CLASS",
    "--cam-whole": "--cam-whole is of heat maps; give --cam CLASS",
    "--titles a b": "--titles: 2 titles for 1 networks",
    "--compare a.pt b.pt": "give one of --model, --checkpoint and --compare",
    "--model fcn_resnet50": "give one of --model, --checkpoint and --compare",
    "b.jpg": "give what to look at once",
    "--fps 0": "argument --fps: 0 given, needed is a number above 0",
    "--fps 1e9": "argument --fps: 1e9 given, needed is a number above 0, at most 1000; see python",
    "--fps 1e999999999": "argument --fps: 1e999999999 given, needed is a number above 0",
    "--fps nan": "argument --fps: nan given, needed is a number above 0",
    "--fps inf": "argument --fps: inf given, needed is a number above 0",
    "--fps 1/0": "argument --fps: 1/0 given, needed is a number above 0",
}


@pytest.mark.parametrize("flags", REFUSED)
def test_flags_that_contradict_each_other(flags):
    with pytest.raises(UserError) as error:
        parse([*ONE, *flags.split()])
    assert REFUSED[flags] in str(error.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([*TWO, "--cam", "cat"], "--cam: heat maps are drawn of one network"),
        ([*TWO, "--legend", "none"], "--legend none: is of the overlay of one network"),
        (["--compare", "a.pt", *GIVEN], "--compare: needs two networks or more"),
        (["--output", "out"], "give what to look at once: images, a folder, a film"),
        ([*TWO, "--titles", "a"], "--titles: 1 titles for 2 networks"),
    ],
)
def test_comparisons_that_are_none(flags, message):
    with pytest.raises(UserError) as error:
        parse(flags)
    assert message in str(error.value)


def test_choices_are_what_the_code_has():
    assert set(CAM_METHODS) == set(TITLES)
    assert set(FILM_FORMS) == set(SINKS)


def test_help_of_exporting_names_the_formats(capsys):
    with pytest.raises(SystemExit) as ended:
        parse_export(["--export", "--help"])
    assert ended.value.code == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "torchscript" in line)
    assert all(name in line for name in FORMATS)


def test_a_wrong_flag_is_answered_without_loading_torch():
    code = "import predict, sys; predict.main(['--outptu', 'out']); print('torch' in sys.modules)"
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"
    assert ended.stderr == "error: command line: --outptu: unknown; the nearest known one is --output\n"
