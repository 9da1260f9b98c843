"""Options whose experiments did not help: old runs are still read, and whoever asks for one is told."""

import shutil
import subprocess
from dataclasses import replace
from functools import partial

import pytest
import yaml

from rws.cli import dump, flatten, parse
from rws.config import Config
from rws.config.retired import RETIRED, commit_of
from rws.errors import UserError
from rws.runs.identity import check_folder
from tests.helpers.tiny import REPOSITORY

OLD = {
    "train.slice_aim": "0.5",
    "train.slice_aim_by": "class",
    "slices.geometry": "released",
    "slices.iou_by": "class",
    "fusion.normalise": "true",
    "fusion.anneal": "linear",
    "fusion.share": "0.5",
    "fusion.distill": "1.0",
    "fusion.replace": "false",
    "fusion.correct_only": "true",
    "bank.teacher_decay": "0.95",
    "cycles.start": "slices",
    "slices.size": "[0.5, 0.75]",
}


def write(path, key: str, value: object) -> str:
    part, name = key.split(".")
    path.write_text(f"{part}: {{{name}: {value}}}\n")
    return str(path)


def test_every_retired_option_is_tried_here():
    assert OLD.keys() - {"cycles.start", "slices.size"} == RETIRED.keys()


@pytest.mark.parametrize(("key", "value"), OLD.items())
def test_a_flag_gets_one_line_that_names_the_tag(key, value):
    for flags in ([f"--{key}", value], [f"--{key.replace('_', '-')}={value}"]):
        with pytest.raises(UserError, match=f"^command line: {key} .*{commit_of(key)}$"):
            parse(flags, file=None)


@pytest.mark.parametrize(("key", "value"), OLD.items())
def test_a_file_that_asks_for_one_is_refused_but_for_an_old_run(tmp_path, key, value):
    file = write(tmp_path / "c.yaml", key, value)
    with pytest.raises(UserError, match=rf"c\.yaml: {key} .* is retired.*{commit_of(key)}"):
        parse(["--config", file])
    config = parse([], file=file, of_old_run=True).config
    assert config.cycles.start == ("last" if key == "cycles.start" else "initial")
    assert config.slices.size == 0.5


def test_values_at_which_they_change_nothing_are_read(tmp_path):
    for key, value in RETIRED.items():
        assert parse(["--config", write(tmp_path / "c.yaml", key, value)])[0] == Config()


def test_each_commit_has_its_own_options():
    assert commit_of("fusion.share") == commit_of("cycles.start") == "b5014ca"
    assert commit_of("bank.teacher_decay") == "fbeba0b"


def test_the_commits_are_in_the_history():
    """Tags do not go everywhere that commits go, so commits are named."""
    git = partial(subprocess.run, cwd=REPOSITORY, capture_output=True, text=True)
    whole = ["git", "rev-parse", "--is-shallow-repository"]
    if shutil.which("git") is None or git(whole).stdout != "false\n":
        pytest.skip("needs git and the whole history")
    for commit in {commit_of(key) for key in [*RETIRED, "cycles.start"]}:
        assert git(["git", "merge-base", "--is-ancestor", commit, "HEAD"]).returncode == 0, commit


def test_no_retired_option_is_written():
    assert not set(RETIRED) & set(flatten(yaml.safe_load(dump(Config()))))


def test_an_old_run_that_had_one_is_not_gone_on_with(tmp_path):
    config = replace(Config(), runs=str(tmp_path), name="old")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.yaml").write_text(dump(config))
    check_folder(config, resume=True)
    asked = dump(config).replace("fusion:\n", "fusion:\n  anneal: linear\n")
    (tmp_path / "old" / "config.yaml").write_text(asked)
    with pytest.raises(UserError, match=r"fusion\.anneal 'linear', which is retired.*b5014ca"):
        check_folder(config, resume=True)
