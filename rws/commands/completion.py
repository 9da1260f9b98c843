"""Print what completes the words of `rws` in a shell: commands, flags, and the values that some flags have.

    rws completion bash > ~/.local/share/bash-completion/completions/rws
    rws completion zsh > ~/.zfunc/_rws                        where zsh's fpath names that folder

The next shell that is opened knows them.
"""

import argparse
from pathlib import Path
from types import UnionType
from typing import Literal, get_args, get_origin

import shtab

from rws.commands.main import COMMANDS, load
from rws.config import OPTIONS
from rws.config.recipes import RECIPE, RECIPES
from rws.config.retired import RETIRED
from rws.errors import Parser, exit_code
from rws.runtime.bars import say
from rws.share import known_configs

CONFIG = {"bash": "_rws_configs", "zsh": "_rws_configs"}
FUNCTION = {
    "bash": '_rws_configs() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
    "zsh": "_rws_configs() {{ _alternative 'names:configuration:({names})' 'files:file:_files' }}",
}


def make_parser() -> Parser:
    """What reads the flags of the command."""
    parser = Parser("rws completion", __doc__)
    parser.add_argument("shell", choices=tuple(FUNCTION))
    return parser


def script(shell: str) -> str:
    """What a shell is to run."""
    preamble = FUNCTION[shell].format(names=" ".join(known_configs()))
    return shtab.complete(whole_parser(), shell, preamble=preamble)


def whole_parser() -> argparse.ArgumentParser:
    """One parser of all commands."""
    root = argparse.ArgumentParser("rws")
    parsers = {"": root}
    below: dict[str, argparse._SubParsersAction] = {}
    for name, command in COMMANDS.items():
        parent, _, word = name.rpartition(" ")
        if parent not in below:
            below[parent] = parsers[parent].add_subparsers()
        own = load(name).make_parser()
        parsers[name] = below[parent].add_parser(
            word, parents=[own], add_help=False, conflict_handler="resolve", help=command.meaning
        )
        _add_options(parsers[name], getattr(own, "further", ()))
        for action in parsers[name]._actions:
            _describe(action)
    return root


def _add_options(parser: argparse.ArgumentParser, flags: frozenset[str]) -> None:
    """Add the flags that another parser reads, as those of `rws train` in `rws guide`."""
    retired = {f"--{key}" for key in RETIRED}
    for flag in sorted(set(flags) - retired - set(parser._option_string_actions)):
        option = OPTIONS.get(flag[2:])
        parser.add_argument(flag, help=option and option.metadata["meaning"].replace("%", "%%"))


def _describe(action: argparse.Action) -> None:
    """Say what the values of a flag are: configurations, files or a choice."""
    if action.dest == "config":
        action.complete = CONFIG
    elif action.type is Path:
        action.complete = shtab.FILE
    elif action.dest == RECIPE:
        action.choices = tuple(RECIPES)
    elif action.dest in OPTIONS:
        action.choices = choices(OPTIONS[action.dest].type)


def choices(kind: object) -> tuple[str, ...] | None:
    """The values of an option that has a few."""
    if get_origin(kind) is UnionType:
        return choices(get_args(kind)[0])
    if get_origin(kind) is Literal:
        return get_args(kind)
    return ("true", "false") if kind is bool else None


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        shell = make_parser().parse_args(arguments).shell
        say(*script(shell).split("\n"))

    return exit_code(command, results="it is written to the terminal", interrupted="interrupted")
