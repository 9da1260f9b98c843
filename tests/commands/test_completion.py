"""`rws completion`: what a shell offers after the words of a line."""

import shutil
import subprocess

import pytest
from tiny import REPOSITORY

pytest.importorskip("rws.evaluate.command", reason="`rws val` is not there yet")

from rws.commands.completion import choices, script
from rws.commands.main import COMMANDS, main
from rws.config import OPTIONS

ASK = """
source script.bash
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_shtab_rws rws "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """Asks bash what it offers for the last word of a line."""
    if shutil.which("bash") is None:
        pytest.skip("no bash here")
    folder = tmp_path_factory.mktemp("completion")
    (folder / "script.bash").write_text(script("bash"))
    (folder / "photo.jpg").touch()

    def offered(*words: str) -> set[str]:
        argv = ["bash", "-c", ASK, "bash", "rws", *words]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return set(done.stdout.split())

    return offered


def test_commands(bash):
    assert bash("") == {name for name in COMMANDS if " " not in name}
    assert bash("tr") == {"train"}
    assert bash("compare", "j") == {"join"}


def test_flags_of_each_command(bash):
    assert bash("predict", "--chec") == {"--checkpoint"}
    assert bash("export", "--si") == {"--size"}
    assert bash("compare", "ways", "--hal") == {"--half"}
    assert bash("compare", "--see") == {"--seeds", "--seed"}


def test_options_of_training(bash):
    assert bash("train", "--") >= {f"--{key}" for key in OPTIONS} | {"--resume", "--config", "--help-all"}
    assert bash("guide", "--slices.miss") == {"--slices.missing_images"}
    assert bash("report", "--data.roo") == {"--data.root"}


def test_values(bash):
    assert bash("train", "--config", "camvid_") >= {"camvid_light", "camvid_resnet50"}
    assert bash("train", "--config", "pho") == {"photo.jpg"}
    assert bash("train", "--train.optimizer", "") == set(choices(OPTIONS["train.optimizer"].type))
    assert bash("train", "--cam_vis", "t") == {"true"}
    assert bash("predict", "--checkpoint", "pho") == {"photo.jpg"}
    assert bash("completion", "") == {"bash", "zsh"}


def test_the_script_of_zsh_holds_all_and_parses(tmp_path):
    text = script("zsh")
    assert text.startswith("#compdef rws")
    assert all(f"    {name}:'" in text for name in COMMANDS if " " not in name)
    assert all(f"--{key}" in text for key in OPTIONS)
    if shutil.which("zsh"):
        (tmp_path / "_rws").write_text(text)
        subprocess.run(["zsh", "-n", tmp_path / "_rws"], check=True)


def test_it_is_printed_as_it_is(capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out.rstrip("\n") == script("bash").rstrip("\n")
    assert main(["completion", "fish"]) == 2
    assert "invalid choice: 'fish'" in capsys.readouterr().err
