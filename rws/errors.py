"""The one exception that a wrong input raises, and how a command line is read and run so that it says so."""

import argparse
import difflib
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

_ERROR_CLASS = re.compile(r"^rws(\.\w+)+: ")
_FLAG = re.compile(r"--?[a-zA-Z][^\s=]*(?==|$)")


class UserError(Exception):
    """A wrong input, said in one line: the file, the value and the way out.

    The scripts print it as `error: <message>` and exit with code 2; no traceback is shown.
    """


class DamagedFile(UserError):
    """A file of a run that is not as it was written."""


def said(error: Exception) -> str:
    """The one line of an error; one raised in a loader process comes with that process's traceback above."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return _ERROR_CLASS.sub("", lines[-1])


class Parser(argparse.ArgumentParser):
    """A parser of flags that raises UserError, and names the nearest known flag where one is unknown.

    further: flags that another parser reads; one with _ may be written with - as well, as those of train.py.
    advice: the way out at the end of an error's line.
    """

    def __init__(
        self, prog: str, description: str | None, *, further: Iterable[str] = (), advice: str = ""
    ) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, description=description, formatter_class=form, allow_abbrev=False)
        self.further, self.advice = frozenset(further), advice or f"see {prog} --help"

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Raises: UserError, for an unknown flag before anything else; --help comes before both."""
        args = sys.argv[1:] if args is None else list(args)
        before = args[: args.index("--")] if "--" in args else args
        if "--help" in before:
            self.print_help()
            self.exit()
        for flag in filter(None, map(_FLAG.match, before)):
            self._check_flag(flag.group())
        return super().parse_known_args(args, namespace)

    @property
    def flags(self) -> list[str]:
        """All flags that this parser reads itself."""
        return [flag for action in self._actions for flag in action.option_strings]

    def _check_flag(self, flag: str) -> None:
        if flag in self.flags or {flag, "--" + flag[2:].replace("-", "_")} & self.further:
            return
        known = sorted(name for name in {*self.flags, *self.further} if name.startswith("--"))
        near = difflib.get_close_matches(flag, known, n=1, cutoff=0.0)[0]
        raise UserError(f"command line: {flag}: unknown; the nearest known one is {near}")

    def error(self, message: str) -> NoReturn:
        """Raises: UserError, where argparse would print the usage and end the process."""
        raise UserError(f"command line: {message}; {self.advice}")


def exit_code(command: Callable[[], int | None], *, results: str, interrupted: str) -> int:
    """Run a command; its exit code, or 2 with one line for a wrong input, or that of a signal.

    results: where they are written, for a file that cannot be. interrupted: what to say after Ctrl-C.
    """
    try:
        return command() or 0
    except UserError as error:
        print(f"error: {said(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; {results}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as signal:
        print(interrupted, file=sys.stderr)
        return getattr(signal, "code", 130)
