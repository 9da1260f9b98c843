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


def _check_key(key: str, where: str) -> None:
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.0)[0]
        raise UserError(f"{where}: unknown key {key!r}; the nearest known one is {near!r}")


def read_yaml(path: str | Path, seen: tuple[Path, ...] = ()) -> dict[str, object]:
    """A configuration file and its bases, as dotted keys; the child's values win.

    Raises: UserError for a missing file, broken YAML, an unknown key, or bases in a circle.
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
    values = read_yaml(path.parent / base, (*seen, path.resolve())) if base else {}
    try:
        own = flatten(tree)
    except RecursionError as error:
        raise UserError(f"{path}: holds itself; write the values instead of an alias") from error
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
        if name not in ("config", "help"):
            _check_key(name, "command line")
        out.append(f"--{name}{equals}{value}")
        last = position + 1 == len(flags) or flags[position + 1].startswith("--")
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
) -> tuple[Config, str | None]:
    """The configuration of a command line, and the YAML file it starts from.

    `over` holds values, by dotted key, that win over the file and give way to flags; `source` says in errors
    where they are from. `file` is taken without --config; None takes the defaults alone.

    Raises: UserError naming the file or the flag, the value and the nearest known key.
    """
    parser = make_parser()
    try:
        given = parser.parse_args(_normalise(flags), defaults=False)
    except ArgumentError as error:
        raise UserError(f"command line: {_said(error)}") from error
    file = given.pop("config", None) or file
    values = read_yaml(file) if file else {}
    _check_values(parser, values, str(file))
    for key in over or {}:
        _check_key(str(key), source)
    _check_values(parser, over or {}, source)
    config = _build({**values, **(over or {}), **flatten(given.as_dict())}, parser)
    _check_ranges(config)
    return config, file


def _check_ranges(config: Config) -> None:
    """What the type of a single value cannot say."""
    scale, slices = list(config.data.scale), config.slices
    if scale[0] > scale[1]:
        raise UserError(f"data.scale: {scale} must be [smallest, largest]")
    if not slices.sizes:
        raise UserError("slices.size []: names no size; give one such as 0.5, or several: [0.5, 0.75]")
    for size in slices.sizes:
        if not slices.step <= size <= 1:
            raise UserError(
                f"slices.size {size:g} must be at most 1 and slices.step {slices.step:g} at most that: "
                "windows must leave no gaps"
            )
    _check_recipe(config)
    if config.resume and config.overwrite:
        raise UserError("--resume goes on with a run and --overwrite throws it away; give one of them")


def _check_recipe(config: Config) -> None:
    """Settings of the fusion and the slices that contradict each other."""
    fusion, train = config.fusion, config.train
    if train.slice_mix and train.slice_aim and train.slice_aim_by == "class":
        raise UserError(
            f"train.slice_mix {train.slice_mix:g}: slices are enlarged, or aimed at by class "
            f"(train.slice_aim {train.slice_aim:g}), not both; set one to 0"
        )
    if config.cycles.start == "slices" and not fusion.enabled:
        raise UserError("cycles.start slices: without fusion.enabled no slice network is trained; take last")
    if fusion.enabled and not fusion.replace and not fusion.distill:
        raise UserError("fusion.replace false: nothing is left of the fusion; set fusion.distill above 0")
    if config.bank.teacher_decay < 1 and not config.bank.online:
        raise UserError(
            f"bank.teacher_decay {config.bank.teacher_decay:g}: features that are stored follow nothing; "
            "set bank.online true, or leave it at 1"
        )
    if fusion.correct_only and fusion.positions == "random":
        raise UserError("fusion.correct_only: random positions are chosen by nothing; set one of them")


def dump(config: Config) -> str:
    """The resolved configuration as YAML that `parse` reads back."""
    tree = dataclasses.asdict(config)
    tree["data"] |= {key: list(tree["data"][key]) for key in ("crop_size", "scale")}
    return yaml.safe_dump(tree, sort_keys=False)
