"""The configuration that lies beside a network of a run: a file that nobody has named, and that may lie.

It says with which data a network is looked at or scored where nobody says otherwise.
"""

from pathlib import Path

from rws.cli import parse
from rws.config import Config
from rws.data import Split
from rws.errors import DamagedFile, UserError
from rws.runs.card import Card
from rws.runs.checkpoint import read_sealed
from rws.runtime.bars import say


def flag_names(flags: list[str]) -> set[str]:
    """The flags of a command line as `--config` and `--model.name` are written, with _ for -."""
    return {flag[:2] + flag[2:].split("=")[0].replace("-", "_") for flag in flags if flag.startswith("--")}


def parse_beside(flags: list[str], beside: Path | None) -> Config:
    """Flags of `rws train` over --config, or else over the file `beside`, or else over the defaults.

    The file beside gives no folder for a cache: nothing is written where it says.

    Raises: UserError, as `parse`.
    """
    over = {} if "--config" in flag_names(flags) else {"data.cache": None}
    return parse(flags, over, str(beside), str(beside) if beside else None, of_old_run=True).config


def named_network(flags: list[str], config: Config) -> tuple[str, ...]:
    """The network of a configuration where a person has named it: by a flag, or in the file of --config."""
    return (config.model.name,) if flag_names(flags) & {"--model.name", "--config"} else ()


def configuration_of(checkpoint: Path | None, flags: list[str]) -> Config:
    """Flags over --config, or over the configuration beside a checkpoint, or over the defaults.

    Raises: UserError, as `parse`, where no data is named, and where the data of a run are not where it says.
    """
    names = flag_names(flags)
    beside = _run_of(checkpoint) / "config.yaml" if checkpoint else None
    file = beside if beside and beside.is_file() else None
    if file:
        _warn_of_changes(file)
    config = parse_beside(flags, file)
    if "--config" in names or (checkpoint and not checkpoint.is_file()):
        return config
    if not file and "--data.name" not in names:
        without = f"{checkpoint}: has no config.yaml beside it" if beside else "no data is named"
        raise UserError(f"{without}; name the data set with --data.name and --data.root, or give --config")
    if file and "--data.root" not in names and config.data.name != "demo":
        _check_root(config.data.root, file)
    return config


def _run_of(checkpoint: Path) -> Path:
    """The folder of the run that a network lies in: beside config.yaml, or in its cycles/NUMBER/."""
    folder = checkpoint.parent
    return folder.parent.parent if folder.parent.name == "cycles" else folder


def _warn_of_changes(path: Path) -> None:
    try:
        read_sealed(path)
    except DamagedFile:
        say(f"warning: {path}: has changed since the run wrote it; its options are taken as they are now")


def _check_root(root: str, file: Path) -> None:
    """Raises: UserError where the data of a run are not, as on another machine."""
    if not Path(root).expanduser().is_dir():
        raise UserError(f"{root}: no such folder, but {file} has the data there; give --data.root")


def check_classes(name: Path | str, card: Card, split: Split) -> None:
    """Raises: UserError for a network of other classes than the data."""
    if card.classes.names != split.classes.names:
        raise UserError(
            f"{name}: its classes are {_some(card.classes.names)}, those of the data "
            f"{_some(split.classes.names)}; name the set it was trained on by --data.name, --data.category"
        )


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
