"""The folder of a run: whose it is, and that a run that goes on is the one that was begun."""

import shutil
from pathlib import Path

import yaml

from rws.cli import dump, flatten
from rws.config import OPTIONS, Config
from rws.config.retired import as_it_was, commit_of, is_retired
from rws.errors import DamagedFile, UserError
from rws.runs import begun
from rws.runs.checkpoint import read_sealed, write_sealed
from rws.runtime.files import is_leftover

STORED = "config.yaml"
# What may differ between a run and its resumption: where things are and how they are watched. On another
# device the run goes on, but not to the same bits.
FREE = {key for key, option in OPTIONS.items() if option.metadata["free"]}


def check_folder(
    config: Config, *, resume: bool = False, overwrite: bool = False, with_changes: bool = False
) -> Path:
    """The run's folder; refused if it holds something else, another run, or a run of other settings."""
    if config.name in ("", ".", "..") or Path(config.name).name != config.name:
        raise UserError(f"name {config.name!r}: must be a plain folder name")
    folder = Path(config.runs) / config.name
    stored = folder / STORED
    if stored.is_file() and resume:
        try:
            _compare(config, stored_configuration(stored), stored)
        except DamagedFile:
            if not with_changes:
                raise
    elif stored.is_file() and not overwrite:
        raise UserError(f"{folder}: this run is there already; add --resume or --overwrite, or change --name")
    elif folder.exists() and not stored.is_file() and any(p for p in folder.iterdir() if not _is_ours(p)):
        raise UserError(f"{folder}: holds something that is not a run; choose another --name")
    return folder


def _is_ours(path: Path) -> bool:
    """Left by a write of the configuration that a kill cut off."""
    return path.name.startswith(f".{STORED}.")


def claim_folder(config: Config, *, resume: bool = False, overwrite: bool = False) -> Path:
    """A new folder for a new run; the old one when it is resumed, without what kills have left in it.

    Raises: UserError for an old run that is to be overwritten and cannot be removed.
    """
    folder = check_folder(config, resume=resume, overwrite=overwrite, with_changes=True)
    stored = folder / STORED
    if stored.is_file() and resume:
        for leftover in filter(is_leftover, folder.rglob(".*")):
            leftover.unlink()
    else:
        _empty(folder)
    if not has_configuration(folder):
        write_configuration(folder, config)
    return folder


def _empty(folder: Path) -> None:
    """Remove what a folder holds, also behind a link; last what says which run it is, should a kill come."""
    try:
        for path in sorted(folder.glob("*"), key=lambda p: 2 * (p.name == STORED) + (p.name == begun.NAME)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: of the run that is to be overwritten, cannot be removed "
            f"({error.strerror or error}); remove {folder} by hand, or take another --name"
        ) from error


def write_configuration(folder: Path, config: Config) -> None:
    """Leave the configuration in a run's folder, which makes it one."""
    write_sealed(folder / STORED, dump(config))


def is_run(folder: Path) -> bool:
    """Whether a folder is that of a run, sound or not."""
    return (folder / STORED).is_file()


def has_configuration(folder: Path) -> bool:
    """Whether the configuration in a run's folder is sound."""
    try:
        return is_run(folder) and bool(stored_configuration(folder / STORED))
    except DamagedFile:
        return False


def stored_configuration(path: Path) -> dict:
    """The configuration that a run was begun with.

    Raises: DamagedFile.
    """
    try:
        stored = yaml.safe_load(read_sealed(path))
        if isinstance(stored, dict) and isinstance(stored.get("data"), dict) and flatten(stored):
            return stored
    except (DamagedFile, yaml.YAMLError, RecursionError):
        pass
    raise DamagedFile(
        f"{path}: damaged, so nothing shows that the run has this configuration; go on all the same with "
        "--resume-with-changes, or start it anew with --overwrite"
    )


def _compare(config: Config, before: dict, path: Path) -> None:
    now, defaults = (flatten(yaml.safe_load(dump(c))) for c in (config, Config()))
    before = flatten(before)
    before = {**defaults, **as_it_was(before), **before}  # before an option was there
    if retired := [key for key, value in before.items() if is_retired(key, value)]:
        key = retired[0]
        raise UserError(
            f"{path}: the run has {key} {before[key]!r}, which is retired; the code that has it is commit "
            f"{commit_of(key)}"
        )
    for key in now.keys() - FREE:
        if now[key] != before[key]:
            raise UserError(
                f"{path}: the run has {key} {before[key]!r}, this command {now[key]!r}; "
                "use the same, or start a new --name"
            )
