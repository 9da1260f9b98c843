"""`rws COMMAND`: what it chooses, what it says of a wrong word, and what it does not load."""

import importlib.util
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tiny import REPOSITORY, load_script

from rws.commands import export, predict, train
from rws.commands.main import COMMANDS, load, main
from rws.errors import UserError
from rws.predict.options import ExportCommand

# `rws val` may not be there yet.
THERE = [
    name for name, command in COMMANDS.items() if importlib.util.find_spec(command.module.rpartition(".")[0])
]
# By command a wrong flag, and the flag that was meant.
WRONG = {
    "train": ("--train.epoch", "train.epochs"),
    "val": ("--chekpoint", "--checkpoint"),
    "predict": ("--outptu", "--output"),
    "guide": ("--splti", "--split"),
    "report": ("--data.rot", "--data.root"),
    "plan": ("--gups", "--gpus"),
    "bench": ("--imagse", "--images"),
    "check": ("--confgi", "config"),
    "export": ("--fromat", "--format"),
    "compare": ("--seds", "--seeds"),
    "compare join": ("--rams", "--arms"),
    "compare ways": ("--hafl", "--half"),
    "compare schedule": ("--rams", "--arms"),
    "compare films": ("--rot", "--root"),
    "import": ("--image", "--images"),
    "download": ("--rot", "--root"),
    "stages": ("--model.nam", "model.name"),
    "completion": ("--hepl", "--help"),
}


def test_help_names_every_command_and_begins_with_five_examples(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == text
    lines = text.splitlines()
    assert len([line for line in lines[:10] if line.startswith("  rws ")]) == 5
    assert all(any(line.startswith(f"  {name} ") for line in lines) for name in COMMANDS)
    assert len(lines) <= 32, "a screen"
    assert max(map(len, lines)) <= 110


@pytest.mark.parametrize("name", THERE)
def test_every_command_is_there_and_calls_itself_so(name):
    assert callable(load(name).main)
    assert load(name).make_parser().prog == f"rws {name}"


def test_every_command_has_a_wrong_flag_here():
    assert WRONG.keys() == COMMANDS.keys()


@pytest.mark.parametrize("name", THERE)
def test_a_wrong_flag_comes_with_the_nearest_one(name, capsys):
    wrong, meant = WRONG[name]
    assert main([*name.split(), wrong, "x"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: command line: ")
    assert wrong.lstrip("-") in line
    assert line.replace("'", "").endswith(f"the nearest known one is {meant}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tarin --config demo", "tarin: unknown command; the nearest known one is train"),
        ("--hlep", "--hlep: unknown flag; the nearest known one is --help"),
        ("compare jion a b", "jion: unknown command; the nearest known one is join"),
        ("join a b", "join: unknown command; the nearest known one is train"),
    ],
)
def test_a_wrong_word_comes_with_the_nearest_one(words, said, capsys):
    assert main(words.split()) == 2
    assert capsys.readouterr().err == f"error: command line: {said}\n"


def loaded_by(words: str, modules: set[str]) -> set[str]:
    """Which of some modules a command line loads."""
    code = (
        "import sys\nfrom rws.commands.main import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print(*sys.modules)"
    )
    argv = [sys.executable, "-c", code, *words.split()]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return modules & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words", ["", "--help", "tarin", "train --help-all", "predict --help", "export --help", "report --help"]
)
def test_neither_help_nor_a_wrong_word_loads_torch(words):
    assert loaded_by(words, {"torch", "numpy", "PIL", "matplotlib"}) == set()


def test_help_alone_loads_no_options_either():
    assert loaded_by("--help", {"jsonargparse", "yaml", "rws.config", "rws.commands.main"}) == {
        "rws.commands.main"
    }


def test_python_m_rws_is_the_same_from_any_directory(tmp_path, capsys):
    main(["--help"])
    argv, env = [sys.executable, "-m", "rws", "--help"], {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, capsys.readouterr().out)
    argv[3] = "tarin"
    assert subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True).returncode == 2


@pytest.mark.parametrize(("script", "command"), [("train", train), ("predict", predict)])
def test_the_scripts_are_the_same_code_under_their_own_name(script, command, capsys):
    shown = []
    for run in (load_script(script).main, command.main):
        with suppress(SystemExit):
            run(["--help"])
        shown.append(capsys.readouterr().out)
    of_script, of_command = shown
    assert f"\n    python {script}.py " in of_script
    assert len(of_script.splitlines()) >= 20
    assert f"usage: rws {script} [" in of_command
    assert f"\n    rws {script} " in of_command
    assert "python " not in of_command


def test_check_looks_at_the_data_and_trains_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--config", "folder", "--data.root", "absent"]
    assert main(["check", *flags]) == 2
    said = capsys.readouterr().err
    assert load_script("train").main([*flags, "--check-data"]) == 2
    assert capsys.readouterr().err == said
    assert said.startswith("error: absent: ")
    assert list(tmp_path.iterdir()) == []


def test_stages_is_the_list_of_train(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--model.name", "lraspp_mobilenet_v3_large", "--model.weights", "none"]
    assert main(["stages", *flags]) == 0
    listed = capsys.readouterr().out
    assert load_script("train").main([*flags, "--list-stages"]) == 0
    assert capsys.readouterr().out == listed
    assert "backbone." in listed


@pytest.mark.parametrize(
    ("flags", "form", "size"),
    [
        ("net.onnx", "onnx", None),
        ("net.pt --size 64 96", "torchscript", (64, 96)),
        ("a/net.pt2", "torch_export", None),
        ("net.ts --format torchscript", "torchscript", None),
    ],
)
def test_the_ending_says_the_format_of_an_export(flags, form, size):
    path = Path(flags.split()[0])
    read = export.read([*flags.split(), "--checkpoint", "a.pt"])
    assert read == ExportCommand(form, path, Path("a.pt"), size)


def test_an_ending_of_no_format_is_told_those_that_are():
    with pytest.raises(UserError) as error:
        export.read(["net.onn", "--checkpoint", "a.pt"])
    known = ".onnx for onnx; .pt or .pth or .ts for torchscript; .pt2 for torch_export"
    assert str(error.value) == f"net.onn: its ending says no format; give it {known}"


def test_the_page_of_commands_lists_them_as_help_does():
    rows = [f"| `rws {name}` | {command.meaning} |" for name, command in COMMANDS.items()]
    page = (REPOSITORY / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `rws ")] == rows
