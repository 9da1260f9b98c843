"""The folder of a run: what --overwrite and --resume remove of it, and what they leave."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from rws.config import Config
from rws.errors import DamagedFile, UserError
from rws.runs import checkpoint
from rws.runs.begun import NAME
from rws.runs.identity import check_folder, claim_folder
from rws.runtime.files import is_leftover


@pytest.fixture
def config(tmp_path) -> Config:
    return Config(name="run", runs=str(tmp_path / "runs"))


def old_run(folder: Path, config: Config) -> None:
    """A run that left something in its folder and in folders below."""
    claim_folder(config)
    checkpoint.write_json(folder / "state.json", {"step": "old"})
    checkpoint.write_json(folder / "cycles/0/slices.json", {})


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_overwrite_removes_the_old_run(config):
    folder = Path(config.runs) / "run"
    old_run(folder, config)
    claim_folder(replace(config, seed=5), overwrite=True)
    assert names(folder) == ["config.yaml"]
    assert "seed: 5" in (folder / "config.yaml").read_text()


def test_overwrite_removes_what_lies_behind_a_link(config, tmp_path):
    """`shutil.rmtree` refuses links, so the old state stayed and nothing was trained."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").mkdir()
    folder = tmp_path / "runs/run"
    folder.symlink_to(tmp_path / "disk")
    old_run(folder, config)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/kept").touch()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    claim_folder(replace(config, seed=5), overwrite=True)
    assert names(tmp_path / "disk") == ["config.yaml"]
    assert folder.is_symlink()
    assert names(tmp_path / "elsewhere") == ["kept"], "a link within is removed, what it leads to stays"


def test_what_says_which_run_it_is_goes_last(config, monkeypatch):
    """A kill within leaves a folder that is still the old run, with all that was begun with it."""
    folder, removed, real = Path(config.runs) / "run", [], Path.unlink
    old_run(folder, config)
    for name in (NAME, "a.json", "z.json"):
        checkpoint.write_json(folder / name, {})

    def unlink(path: Path, *args, **kwargs) -> None:
        removed.append(path.name)
        real(path, *args, **kwargs)

    monkeypatch.setattr(Path, "unlink", unlink)
    claim_folder(config, overwrite=True)
    assert removed[-2:] == [NAME, "config.yaml"]
    assert set(removed) == {"a.json", "z.json", "state.json", NAME, "config.yaml"}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_cannot_be_removed_is_told(config, monkeypatch, kind):
    folder = Path(config.runs) / "run"
    old_run(folder, config)
    before = (folder / "config.yaml").read_text()

    def busy(path, *args, **kwargs):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(*((Path, "unlink") if kind == "file" else (shutil, "rmtree")), busy)
    with pytest.raises(UserError, match=r"runs/run/.*: .* cannot be removed \(Permission denied\)"):
        claim_folder(replace(config, seed=5), overwrite=True)
    assert (folder / "config.yaml").read_text() == before, "no new configuration over an old run"


def test_resume_removes_our_unfinished_files_alone(config):
    folder = Path(config.runs) / "run"
    old_run(folder, config)
    theirs = [".notes.20261128", ".git.ignored", ".a.b", ".state.json.abcdefgh", ".x.abcdef01.unfinished.txt"]
    for name in theirs:
        (folder / name).touch()
    (folder / "cycles/.DS.Store").touch()
    ours = [folder / ".state.json.01a2b3c4.unfinished", folder / "cycles/0/.whole.pt.abcdef01.unfinished"]
    for path in ours:
        path.touch()
    claim_folder(config, resume=True)
    assert not any(path.exists() for path in ours)
    assert all((folder / name).exists() for name in theirs)
    assert (folder / "cycles/.DS.Store").exists()


def killed(*args) -> None:
    raise KeyboardInterrupt


def test_a_write_that_is_killed_leaves_what_resume_removes(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", killed)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *args, **kwargs: None)
        with pytest.raises(KeyboardInterrupt):
            checkpoint.write_json(tmp_path / "a.json", {})
    (left,) = tmp_path.iterdir()
    assert is_leftover(left)


def test_a_damaged_configuration_goes_on_only_where_a_person_insists(config):
    folder = Path(config.runs) / "run"
    old_run(folder, config)
    path = folder / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    with pytest.raises(DamagedFile, match=r"config\.yaml: damaged, .*--resume-with-changes"):
        check_folder(config, resume=True)
    check_folder(config, resume=True, with_changes=True)
    claim_folder(config, resume=True)
    assert check_folder(config, resume=True) == folder, "written anew"
    assert (folder / "state.json").is_file()
