"""The one exception that a wrong input raises, and what a command makes of it."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """A wrong input, said in one line: the file, the value and the way out.

    The scripts print it as `error: <message>` and exit with code 2; no traceback is shown.
    """


class DamagedFile(UserError):
    """A file of a run that is not as it was written."""


def said(error: Exception) -> str:
    """The one line of an error; one raised in a loader process comes with that process's traceback above."""
    return str(error).strip().splitlines()[-1].removeprefix("rws.errors.UserError: ")


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
