"""The configuration that lies beside a network of a run: a file that nobody has named, and that may lie."""

from pathlib import Path

from rws.cli import parse
from rws.config import Config


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
