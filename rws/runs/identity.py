"""The folder of a run: whose it is, and that a run that goes on is the one that was begun."""

import shutil
from pathlib import Path

import yaml

from rws.cli import dump, flatten
from rws.config import OPTIONS, Config
from rws.config.retired import FINDINGS, is_retired
from rws.errors import UserError
from rws.runs.checkpoint import write_text

# What may differ between a run and its resumption: where things are and how they are watched. On another
# device the run goes on, but not to the same bits.
FREE = {key for key, option in OPTIONS.items() if option.metadata["free"]}


def check_folder(config: Config, *, resume: bool = False, overwrite: bool = False) -> Path:
    """The run's folder; refused if it holds something else, another run, or a run of other settings."""
    if config.name in ("", ".", "..") or Path(config.name).name != config.name:
        raise UserError(f"name {config.name!r}: must be a plain folder name")
    folder = Path(config.runs) / config.name
    stored = folder / "config.yaml"
    if stored.is_file() and resume:
        _compare(config, _stored_configuration(stored), stored)
    elif stored.is_file() and not overwrite:
        raise UserError(f"{folder}: this run is there already; add --resume or --overwrite, or change --name")
    elif folder.exists() and not stored.is_file() and any(p for p in folder.iterdir() if not _is_leftover(p)):
        raise UserError(f"{folder}: holds something that is not a run; choose another --name")
    return folder


def _is_leftover(path: Path) -> bool:
    """Of a write of the configuration that a kill cut off."""
    return path.name.startswith(".config.yaml.")


def claim_folder(config: Config, *, resume: bool = False, overwrite: bool = False) -> Path:
    """A new folder for a new run; the old one when it is resumed."""
    folder = check_folder(config, resume=resume, overwrite=overwrite)
    stored = folder / "config.yaml"
    if stored.is_file() and resume:
        for leftover in folder.rglob(".*.*"):  # of writes that a kill cut off
            if leftover.is_file():
                leftover.unlink()
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    write_text(stored, dump(config))
    return folder


def _stored_configuration(path: Path) -> dict:
    try:
        stored = yaml.safe_load(path.read_text())
        if isinstance(stored, dict) and isinstance(stored.get("data"), dict):
            return stored
    except (yaml.YAMLError, UnicodeDecodeError):
        pass
    raise UserError(f"{path}: damaged, so the run cannot be resumed; start it anew with --overwrite")


def _compare(config: Config, before: dict, path: Path) -> None:
    now, defaults = (flatten(yaml.safe_load(dump(c))) for c in (config, Config()))
    before = {**defaults, **flatten(before)}  # a run from before an option was there had its default
    if retired := [key for key, value in before.items() if is_retired(key, value)]:
        key = retired[0]
        raise UserError(
            f"{path}: the run has {key} {before[key]!r}, which is retired; the code that has it is tagged "
            f"{FINDINGS}"
        )
    for key in now.keys() - FREE:
        if now[key] != before[key]:
            raise UserError(
                f"{path}: the run has {key} {before[key]!r}, this command {now[key]!r}; "
                "use the same, or start a new --name"
            )
