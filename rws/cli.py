"""Command line and YAML -> configuration: flags over YAML over typed defaults.

A YAML file may name another as its `base` and then holds only what differs.
"""

import argparse
import dataclasses
import difflib
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import yaml
from jsonargparse import ArgumentParser

from rws.config import OPTIONS, PARTS, Config
from rws.config.retired import RETIRED, is_retired, refusal, without_retired
from rws.errors import UserError

DEFAULT_CONFIG = "configs/demo.yaml"
# Arguments of the command beside the options, and what each does.
SWITCHES = {
    "resume": "Go on with the run of this name where it stopped.",
    "overwrite": "Throw away a run of the same name and begin anew.",
    "check_data": "Check the data set, say what it holds, and stop.",
    "list_stages": "List the modules that could be stages, and stop.",
}


class Command(NamedTuple):
    """What a command line asks for; source: the YAML file that the configuration starts from."""

    config: Config
    source: str | None
    resume: bool = False
    overwrite: bool = False
    check_data: bool = False
    list_stages: bool = False


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    """A nested dictionary as one of dotted keys."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict)
        flat.update(flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat


def _check_key(key: str, where: str, known: Iterable[str] = OPTIONS) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise UserError(f"{where}: unknown key {key!r}; the nearest known one is {near!r}")


def read_yaml(
    path: str | Path, seen: tuple[Path, ...] = (), *, of_old_run: bool = False
) -> dict[str, object]:
    """A configuration file and its bases, as dotted keys; the child's values win.

    Raises: UserError for a missing file, broken YAML, an unknown or retired key, or bases in a circle.
    """
    path = Path(path)
    if not path.is_file():
        known = ", ".join(sorted(str(p) for p in Path("configs").glob("*.yaml")))
        raise UserError(f"{path}: no such configuration; there are: {known or 'none in configs/'}")
    if path.resolve() in seen:
        raise UserError(f"{path}: is its own base; remove one `base:`")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8-sig")) or {}
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds a {type(tree).__name__}, needed are keys and values")
    base = tree.pop("base", None)
    if base is not None and not isinstance(base, str):
        raise UserError(f"{path}: base must be a file name, not {base!r}")
    values = read_yaml(path.parent / base, (*seen, path.resolve()), of_old_run=of_old_run) if base else {}
    try:
        own = flatten(tree)
    except RecursionError as error:
        raise UserError(f"{path}: holds itself; write the values instead of an alias") from error
    own = without_retired(own, str(path), of_old_run=of_old_run)
    for key in own:
        _check_key(str(key), str(path))
    return {**values, **own}


def _nest(flat: dict[str, object]) -> dict:
    tree: dict = {}
    for key, value in flat.items():
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def make_parser() -> ArgumentParser:
    """The command line of train.py: --config, its switches, and a flag for each option."""
    parser = ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("--config", type=str)
    for name in SWITCHES:
        parser.add_argument(f"--{name}", type=bool, default=False)
    for key, option in OPTIONS.items():
        parser.add_argument(f"--{key}", type=option.type, default=option.default)
    return parser


def default_text(key: str) -> str:
    """The default of an option as one writes it in YAML."""
    default = _plain(OPTIONS[key].default)
    default = list(default) if isinstance(default, tuple) else default
    return yaml.safe_dump(default, default_flow_style=True).replace("\n...", "").strip()


def help_text(about: str, everything: bool) -> str:
    """What `--help` shows: what the command is about, its arguments, and the basic options or all of them."""
    parser = argparse.ArgumentParser(
        usage="python train.py [--config FILE] [--OPTION VALUE ...]",
        description=about,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=28),
        add_help=False,
    )
    command = parser.add_argument_group("The command")
    command.add_argument("--config", metavar="FILE", help=f"YAML file of options; else {DEFAULT_CONFIG}.")
    for name, meaning in SWITCHES.items():
        command.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=meaning)
    command.add_argument("--help-all", action="store_true", help=f"Show all {len(OPTIONS)} options.")
    shown = [key for key, o in OPTIONS.items() if everything or o.metadata["level"] == "basic"]
    titles = {part: cls.__doc__.splitlines()[0].rstrip(".") for part, cls in PARTS.items()}
    groups: dict[str, argparse._ArgumentGroup] = {}
    for key in shown:
        title = titles.get(key.rpartition(".")[0], "The run") if everything else "The most used options"
        group = groups.get(title) or groups.setdefault(title, parser.add_argument_group(title))
        text = f"{OPTIONS[key].metadata['meaning']} (default: {default_text(key)})".replace("%", "%%")
        group.add_argument(f"--{key}", metavar=key.rpartition(".")[2].upper(), help=text)
    return parser.format_help()


def _said(error: Exception) -> str:
    """The library's message on one line."""
    return " ".join(str(error).replace("Parser key ", "").split())


def _check_values(parser: ArgumentParser, values: dict[str, object], path: str) -> None:
    """Check each value's type by itself, so that the message names the file and the key."""
    for key, value in values.items():
        if value is None and OPTIONS[key].default is not None:
            raise UserError(f"{path}: {key} is null; give a value such as {OPTIONS[key].default!r}")
    try:
        parser.parse_object(_nest(values))
        return  # one by one, as below, takes a second
    except Exception:
        pass
    for key, value in values.items():
        try:
            parser.parse_object(_nest({key: value}))
        except Exception as error:
            raise UserError(f"{path}: {_said(error)}") from error


def _normalise(flags: list[str]) -> list[str]:
    """Allow `--cam-vis` for `--cam_vis`, and a bare flag for a switch; refuse unknown keys."""
    known = ("config", *SWITCHES, *OPTIONS)
    out: list[str] = []
    for position, flag in enumerate(flags):
        if not flag.startswith("--"):
            out.append(flag)
            continue
        name, equals, value = flag[2:].partition("=")
        name = name.replace("-", "_")
        if name not in RETIRED:
            _check_key(name, "command line", known)
        out.append(f"--{name}{equals}{value}")
        last = position + 1 == len(flags) or flags[position + 1].startswith("--")
        given = value if equals or last else flags[position + 1]
        if name in RETIRED or is_retired(name, given):
            raise refusal(name, given, "command line")
        is_switch = name in SWITCHES or (name in OPTIONS and OPTIONS[name].type is bool)
        if is_switch and not equals and last:
            out.append("true")
    return out


def _plain(value: object) -> object:
    """Builtin types only: jsonargparse's PositiveInt and its kin cannot be written to YAML or checkpoints."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(v) for v in value)
    return next((t(value) for t in (bool, int, float, str) if isinstance(value, t)), value)


def _build(values: dict[str, object], parser: ArgumentParser) -> Config:
    tree = _plain(parser.parse_object(_nest(values)).as_dict())
    parts = {part: cls(**tree.pop(part)) for part, cls in PARTS.items()}
    return Config(**parts, **{key: value for key, value in tree.items() if key in OPTIONS})


def parse(
    flags: list[str],
    over: dict[str, object] | None = None,
    source: str = "",
    file: str | None = DEFAULT_CONFIG,
    *,
    of_old_run: bool = False,
) -> Command:
    """What a command line asks for, with its configuration.

    `over` holds values, by dotted key, that win over the file and give way to flags; `source` says in errors
    where they are from. `file` is taken without --config; None takes the defaults alone. A file `of_old_run`
    may hold retired options, which are left out.

    Raises: UserError naming the file or the flag, the value and the nearest known key.
    """
    parser = make_parser()
    try:
        given = flatten(parser.parse_args(_normalise(flags), defaults=False).as_dict())
    except argparse.ArgumentError as error:
        raise UserError(f"command line: {_said(error)}") from error
    file = given.pop("config", None) or file
    switches = {name: given.pop(name) for name in SWITCHES if name in given}
    values = read_yaml(file, of_old_run=of_old_run) if file else {}
    _check_values(parser, values, str(file))
    over = without_retired(over or {}, source)
    for key in over:
        _check_key(str(key), source)
    _check_values(parser, over, source)
    if switches.get("resume") and switches.get("overwrite"):
        raise UserError("--resume goes on with a run and --overwrite throws it away; give one of them")
    return Command(_build({**values, **over, **given}, parser), file, **switches)


def dump(config: Config) -> str:
    """The resolved configuration as YAML that `parse` reads back."""
    tree = dataclasses.asdict(config)
    tree["data"] |= {key: list(tree["data"][key]) for key in ("crop_size", "scale")}
    return yaml.safe_dump(tree, sort_keys=False)
