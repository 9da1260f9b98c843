"""Command line and YAML -> configuration: flags over YAML over typed defaults.

A YAML file may name another as its `base` and then holds only what differs.
"""

import dataclasses
import difflib
from argparse import ArgumentError
from dataclasses import MISSING
from pathlib import Path

import yaml
from jsonargparse import ArgumentParser

from rws.config import Config
from rws.errors import UserError

DEFAULT_CONFIG = "configs/demo.yaml"


def flatten(tree: dict, prefix: str = "") -> dict[str, object]:
    """A nested dictionary as one of dotted keys."""
    flat: dict[str, object] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict)
        flat.update(flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value})
    return flat


KEYS = tuple(flatten(dataclasses.asdict(Config())))

# Options of experiments that did not help: the value at which each changes nothing. The code that had them is
# tagged FINDINGS; docs/findings.md has what they showed.
FINDINGS = "findings-1"
RETIRED = {
    "train.slice_aim": 0.0,
    "train.slice_aim_by": "image",
    "slices.geometry": "covering",
    "slices.iou_by": "image",
    "fusion.normalise": False,
    "fusion.anneal": "none",
    "fusion.share": 1.0,
    "fusion.distill": 0.0,
    "fusion.replace": True,
    "fusion.correct_only": False,
}
# Values that an option had once, and what a file of an old run is read with in their place.
_RETIRED_STARTS = {"slices": "last"}


def is_retired(key: str, value: object) -> bool:
    """Whether an option, at this value, asks for an experiment whose code is gone."""
    if key in RETIRED:
        return value != RETIRED[key]
    several_sizes = key == "slices.size" and (isinstance(value, list) or str(value).startswith("["))
    return several_sizes or (key == "cycles.start" and value in _RETIRED_STARTS)


def _said_retired(key: str, value: object, where: str) -> UserError:
    return UserError(
        f"{where}: {key} {value!r} is retired, for it did not help (docs/findings.md); "
        f"the code that has it is tagged {FINDINGS}"
    )


def without_retired(values: dict[str, object], where: str, *, of_old_run: bool = False) -> dict[str, object]:
    """Values by dotted key without retired options, which may ask for something in an old run's file alone.

    Raises: UserError that names the tag.
    """
    kept = {}
    for key, value in values.items():
        if is_retired(key, value):
            if not of_old_run:
                raise _said_retired(key, value, where)
            value = value[0] if isinstance(value, list) else _RETIRED_STARTS.get(value, value)
        if key not in RETIRED:
            kept[key] = value
    return kept


def _check_key(key: str, where: str) -> None:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.0)[0]
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
    """The command line of train.py: --config and a flag for each key."""
    parser = ArgumentParser(exit_on_error=False, description="Train a network with RWS.")
    parser.add_argument("--config", help=f"YAML file; without it {DEFAULT_CONFIG}")
    parser.add_class_arguments(Config)
    return parser


def _said(error: Exception) -> str:
    """The library's message on one line."""
    return " ".join(str(error).replace("Parser key ", "").split())


def _check_values(parser: ArgumentParser, values: dict[str, object], path: str) -> None:
    """Check each value's type by itself, so that the message names the file and the key."""
    defaults = flatten(dataclasses.asdict(Config()))
    for key, value in values.items():
        if value is None and defaults[key] is not None:
            raise UserError(f"{path}: {key} is null; give a value such as {defaults[key]!r}")
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
    switches = {
        key for key, value in flatten(dataclasses.asdict(Config())).items() if isinstance(value, bool)
    }
    out: list[str] = []
    for position, flag in enumerate(flags):
        if not flag.startswith("--"):
            out.append(flag)
            continue
        name, equals, value = flag[2:].partition("=")
        name = name.replace("-", "_")
        if name not in ("config", "help", *RETIRED):
            _check_key(name, "command line")
        out.append(f"--{name}{equals}{value}")
        last = position + 1 == len(flags) or flags[position + 1].startswith("--")
        given = value if equals or last else flags[position + 1]
        if name in RETIRED or is_retired(name, given):
            raise _said_retired(name, given, "command line")
        if name in switches and not equals and last:
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
    tree.pop("config", None)
    parts = {
        f.name: f.default_factory for f in dataclasses.fields(Config) if f.default_factory is not MISSING
    }
    return Config(**{k: parts[k](**v) if k in parts else v for k, v in tree.items()})


def parse(
    flags: list[str],
    over: dict[str, object] | None = None,
    source: str = "",
    file: str | None = DEFAULT_CONFIG,
    *,
    of_old_run: bool = False,
) -> tuple[Config, str | None]:
    """The configuration of a command line, and the YAML file it starts from.

    `over` holds values, by dotted key, that win over the file and give way to flags; `source` says in errors
    where they are from. `file` is taken without --config; None takes the defaults alone. A file `of_old_run`
    may hold retired options, which are left out.

    Raises: UserError naming the file or the flag, the value and the nearest known key.
    """
    parser = make_parser()
    try:
        given = parser.parse_args(_normalise(flags), defaults=False)
    except ArgumentError as error:
        raise UserError(f"command line: {_said(error)}") from error
    file = given.pop("config", None) or file
    values = read_yaml(file, of_old_run=of_old_run) if file else {}
    _check_values(parser, values, str(file))
    over = without_retired(over or {}, source)
    for key in over:
        _check_key(str(key), source)
    _check_values(parser, over, source)
    config = _build({**values, **over, **flatten(given.as_dict())}, parser)
    _check_ranges(config)
    return config, file


def _check_ranges(config: Config) -> None:
    """What the type of a single value cannot say."""
    scale, slices = list(config.data.scale), config.slices
    if scale[0] > scale[1]:
        raise UserError(f"data.scale: {scale} must be [smallest, largest]")
    if not slices.step <= slices.size <= 1:
        raise UserError(
            f"slices.size {slices.size:g} must be at most 1 and slices.step {slices.step:g} at most that: "
            "windows must leave no gaps"
        )
    _check_recipe(config)
    if config.resume and config.overwrite:
        raise UserError("--resume goes on with a run and --overwrite throws it away; give one of them")


def _check_recipe(config: Config) -> None:
    """Settings of the fusion and the slices that contradict each other."""
    if config.bank.teacher_decay < 1 and not config.bank.online:
        raise UserError(
            f"bank.teacher_decay {config.bank.teacher_decay:g}: features that are stored follow nothing; "
            "set bank.online true, or leave it at 1"
        )


def dump(config: Config) -> str:
    """The resolved configuration as YAML that `parse` reads back."""
    tree = dataclasses.asdict(config)
    tree["data"] |= {key: list(tree["data"][key]) for key in ("crop_size", "scale")}
    return yaml.safe_dump(tree, sort_keys=False)
