"""The one exception that a wrong input raises, and how a command line is read and run so that it says so."""

import argparse
import difflib
import io
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

_FLAG = re.compile(r"--?[a-zA-Z][^\s=]*(?==|$)")
_FROM_LOADER = re.compile(r"Caught .*\nOriginal Traceback .*\n[\w.]+: (.*)", re.DOTALL)
# Of torch on a CPU and on CUDA.
_OUT_OF_MEMORY = re.compile(r"can't allocate memory|out of memory|Storage size calculation overflowed")
# Characters that move the cursor, hide or colour text, end a line, or cannot be encoded; those that turn the
# direction of writing.
_CONTROL = frozenset(("Cc", "Cs", "Zl", "Zp"))
_TURNING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))


def safe(text: object) -> str:
    """A text as one line that a terminal shows and does not obey: what controls it is written as \\x1b."""
    text = str(text)
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    return unicodedata.category(character) in _CONTROL or unicodedata.bidirectional(character) in _TURNING


class UserError(Exception):
    """A wrong input, said in one line: the file, the value and the way out.

    The scripts print it as `error: <message>` and exit with code 2; no traceback is shown. A loader process
    hands its error on with its traceback before it, of which only the message is kept.
    """

    def __init__(self, message: str):
        found = _FROM_LOADER.fullmatch(message)
        super().__init__(safe((found.group(1) if found else message).strip()))


class DamagedFile(UserError):
    """A file of a run that is not as it was written."""


def said(error: Exception) -> str:
    """The last line of a library's error, or its name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]


class Parser(argparse.ArgumentParser):
    """A parser of flags that raises UserError, and names the nearest known flag where one is unknown.

    further: flags that another parser reads; one with _ may be written with - as well, as those of train.
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


def _of_the_system(error: OSError) -> str:
    """What the file system says, the file first."""
    if error.filename is None or not error.strerror:
        return str(error)
    reason = (
        "is a file, and a folder is needed" if isinstance(error, FileExistsError) else error.strerror.lower()
    )
    return f"{error.filename}: {reason}"


def _short_of_memory(error: Exception) -> str:
    what = str(error).strip().split("\n")[0] or "MemoryError"
    return f"memory does not suffice ({what}); take smaller batches, crops or images"


def add_trust(parser: argparse.ArgumentParser) -> None:
    """The flag by which a person allows code that a checkpoint asks for."""
    parser.add_argument(
        "--trust-network",
        action="append",
        metavar="MODULE:FACTORY",
        help="run this network of yours where a checkpoint asks for it; may be given several times",
    )


def trusted_of(options: argparse.Namespace) -> tuple[str, ...]:
    """The networks that a command line allows."""
    return tuple(options.trust_network or ())


def exit_code(command: Callable[[], int | None], *, results: str, interrupted: str) -> int:
    """Run a command; its exit code, or 2 with one line for a wrong input, or that of a signal.

    results: where they are written, for a file that cannot be. interrupted: what to say after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what the terminal's encoding does not have
    try:
        return command() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {safe(_of_the_system(error))}; {results}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error))):
            raise
        print(f"error: {safe(_short_of_memory(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as signal:
        print(interrupted, file=sys.stderr)
        return getattr(signal, "code", 130)
