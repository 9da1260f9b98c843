"""The one exception that a wrong input raises."""


class UserError(Exception):
    """A wrong input, said in one line: the file, the value and the way out.

    The scripts print it as `error: <message>` and exit with code 2; no traceback is shown.
    """


class DamagedFile(UserError):
    """A file of a run that is not as it was written."""


def said(error: Exception) -> str:
    """The one line of an error; one raised in a loader process comes with that process's traceback above."""
    return str(error).strip().splitlines()[-1].removeprefix("rws.errors.UserError: ")
