"""Command line and YAML -> configuration: flags over YAML over typed defaults.

A YAML file may name another as its `base` and then holds only what differs. A configuration that comes with
the code is named without a path: `--config camvid_light`, `base: camvid_light`.
"""

import argparse
import dataclasses
import difflib
from collections.abc import Iterable
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import yaml
from jsonargparse import ArgumentParser, set_loader

from rws.config import OPTIONS, PARTS, Config
from rws.config.forms import shown, takes, wrong
from rws.config.recipes import MEANING, RECIPE, expanded
from rws.config.retired import RETIRED, is_retired, refusal, without_retired
from rws.errors import UserError
from rws.runtime.text_yaml import read_tree, read_value
from rws.share import find_config

DEFAULT_CONFIG = "demo"
# Arguments of the command beside the options, and what each does.
SWITCHES = {
    "resume": "Go on with the run of this name where it stopped.",
    "resume_with_changes": "The same, although data or code are not those that it was begun with.",
    "overwrite": "Throw away a run of the same name and begin anew.",
    "check_data": "Check the data set, say what it holds, and stop.",
    "list_stages": "List the modules that could be stages, and stop.",
}


class Command(NamedTuple):
    """What a command line asks for; source: the YAML file that the configuration starts from."""

    config: Config
    source: str | None
    resume: bool = False
    resume_with_changes: bool = False
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


def _check_key(key: str, where: str, known: Iterable[str] = (*OPTIONS, RECIPE)) -> None:
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
        raise UserError(f"{where}: unknown key {key!r}; the nearest known one is {near!r}")


def read_yaml(
    path: str | Path, seen: tuple[Path, ...] = (), *, of_old_run: bool = False, bases: bool = True
) -> dict[str, object]:
    """A configuration and its bases, as dotted keys; the child's values win. It is a file or a name.

    Without `bases` it may have none: a run writes none, and one that lies could name any file.

    Raises: UserError for a missing file, broken YAML, an unknown or retired key, or bases in a circle.
    """
    path = find_config(path)
    if path.resolve() in seen:
        raise UserError(f"{path}: is its own base; remove one `base:`")
    tree = read_tree(path)
    base = tree.pop("base", None)
    if base is not None and not isinstance(base, str):
        raise UserError(f"{path}: base must be a file name, not {base!r}")
    if base and not bases:
        raise UserError(
            f"{path}: names a base, {base!r}, as no run does; if you know it, pass it by --config"
        )
    values: dict[str, object] = {}
    if base:
        found = find_config(base, path.parent)
        values = read_yaml(found, (*seen, path.resolve()), of_old_run=of_old_run)
    own = without_retired(flatten(tree), str(path), of_old_run=of_old_run)
    for key in own:
        _check_key(str(key), str(path))
    return {**values, **expanded(own, str(path))}


def _nest(flat: dict[str, object]) -> dict:
    tree: dict = {}
    for key, value in flat.items():
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


@cache
def make_parser() -> ArgumentParser:
    """What knows the type of every option, and reads text as it."""
    set_loader("text", read_value, (yaml.YAMLError,))
    parser = ArgumentParser(exit_on_error=False, add_help=False, parser_mode="text")
    for key, option in OPTIONS.items():
        parser.add_argument(f"--{key}", type=option.type, default=option.default)
    return parser


def default_text(key: str) -> str:
    """The default of an option as one writes it in YAML."""
    default = _plain(OPTIONS[key].default)
    default = list(default) if isinstance(default, tuple) else default
    return yaml.safe_dump(default, default_flow_style=True).replace("\n...", "").strip()


def help_parser(
    about: str, prog: str, switches: Iterable[str] = tuple(SWITCHES), *, everything: bool
) -> argparse.ArgumentParser:
    """What shows the help of a command: what it is about, its arguments, the basic options or all of them."""
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} [--config NAME] [--OPTION VALUE ...]",
        description=about,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=28),
        add_help=False,
    )
    command = parser.add_argument_group("The command")
    about_config = f"A configuration by name, or a YAML file of options; else {DEFAULT_CONFIG}."
    command.add_argument("--config", metavar="NAME", help=about_config)
    command.add_argument(f"--{RECIPE}", metavar="NAME", help=MEANING)
    for name in switches:
        command.add_argument(f"--{name.replace('_', '-')}", action="store_true", help=SWITCHES[name])
    command.add_argument("--help-all", action="store_true", help=f"Show all {len(OPTIONS)} options.")
    listed = [key for key, o in OPTIONS.items() if everything or o.metadata["level"] == "basic"]
    titles = {part: cls.__doc__.splitlines()[0].rstrip(".") for part, cls in PARTS.items()}
    groups: dict[str, argparse._ArgumentGroup] = {}
    for key in listed:
        title = titles.get(key.rpartition(".")[0], "The run") if everything else "The most used options"
        group = groups.get(title) or groups.setdefault(title, parser.add_argument_group(title))
        text = f"{OPTIONS[key].metadata['meaning']} (default: {default_text(key)})".replace("%", "%%")
        group.add_argument(f"--{key}", metavar=key.rpartition(".")[2].upper(), help=text)
    return parser


def _check_values(parser: ArgumentParser, values: dict[str, object], where: str) -> None:
    """Check the values by their types. Raises: UserError with what the first wrong one should be."""
    try:
        if not values or _fit(parser, values):
            return  # one by one, as below, takes a second
    except Exception:
        pass
    for key, value in values.items():
        try:
            fits = _fit(parser, {key: value})
        except Exception as error:
            raise UserError(wrong(key, value, where)) from error
        if not fits:
            raise UserError(wrong(key, value, where))


def _fit(parser: ArgumentParser, values: dict[str, object]) -> bool:
    """Whether values are what their options take. Raises: what the parser raises for most that are not."""
    read = flatten(parser.parse_object(_nest(values), defaults=False).as_dict())
    return all(takes(key, value) for key, value in read.items())


def read_flags(flags: list[str]) -> dict[str, object]:
    """The values of a command line as text by dotted key, the last one where a flag comes twice.

    `--cam-vis` is `--cam_vis`, and a switch without a value is true.

    Raises: UserError for an unknown or a retired flag, and for a flag without a value or with several.
    """
    given: dict[str, object] = {}
    known = ("config", RECIPE, *SWITCHES, *OPTIONS)
    position = 0
    while position < len(flags):
        if not flags[position].startswith("--"):
            raise UserError(f"command line: {flags[position]}: belongs to no flag; a flag begins with --")
        name, equals, value = flags[position][2:].partition("=")
        name = name.replace("-", "_")
        position += 1
        words = [value] if equals else []
        while position < len(flags) and not flags[position].startswith("--"):
            words.append(flags[position])
            position += 1
        if name in RETIRED or is_retired(name, words[0] if words else ""):
            raise refusal(name, words[0] if words else True, "command line")
        _check_key(name, "command line", known)
        given[name] = _one_value(name, words)
    return given


def _one_value(name: str, words: list[str]) -> str:
    """The one word after a flag. Raises: UserError."""
    is_switch = name in SWITCHES or (name in OPTIONS and OPTIONS[name].type is bool)
    if len(words) == 1:
        return words[0]
    if is_switch and not words:
        return "true"
    if name in OPTIONS:
        raise UserError(wrong(name, words or "", "command line"))
    needed = "nothing, or true or false" if is_switch else "one word" if name == RECIPE else "one file"
    raise UserError(f"command line: --{name} takes {needed}, not {shown(' '.join(words))}")


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
    parser, given = make_parser(), read_flags(flags)
    passed = given.pop("config", None)
    file = passed or file
    switches = {name: _true(name, given.pop(name)) for name in SWITCHES if name in given}
    given = expanded(given, "command line")
    _check_values(parser, given, "command line")
    bases = passed is not None or not of_old_run
    values = read_yaml(file, of_old_run=of_old_run, bases=bases) if file else {}
    _check_values(parser, values, str(file))
    over = without_retired(over or {}, source)
    for key in over:
        _check_key(str(key), source)
    over = expanded(over, source)
    _check_values(parser, over, source)
    if switches.get("overwrite") and (switches.get("resume") or switches.get("resume_with_changes")):
        raise UserError("--resume goes on with a run and --overwrite throws it away; give one of them")
    return Command(_build({**values, **over, **given}, parser), file, **switches)


def _true(switch: str, text: str) -> bool:
    """Raises: UserError for what is neither true nor false."""
    if text not in ("true", "false"):
        raise UserError(f"command line: --{switch} takes nothing, or true or false, not {shown(text)}")
    return text == "true"


def dump(config: Config) -> str:
    """The resolved configuration as YAML that `parse` reads back."""
    tree = dataclasses.asdict(config)
    lists = {key: list(value) for key, value in flatten(tree).items() if isinstance(value, tuple)}
    return yaml.safe_dump(_nest({**flatten(tree), **lists}), sort_keys=False)
