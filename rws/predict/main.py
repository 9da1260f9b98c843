"""From the flags of predict.py to the command that they name."""

from collections.abc import Sequence
from functools import partial

from rws.errors import exit_code
from rws.predict.options import is_export, parse, parse_export


def run_command_line(flags: Sequence[str], description: str | None) -> int:
    """Predict or export as a command line says; the exit code. `description` stands at the top of --help."""
    return exit_code(
        partial(_run, flags, description),
        results="results are written into --output",
        interrupted="interrupted; what was finished before is in the output",
    )


def _run(flags: Sequence[str], description: str | None) -> int:
    # What loads torch is imported late: a wrong flag is answered at once.
    if is_export(flags):
        export_command = parse_export(flags)
        from rws.predict.export.command import export

        return export(export_command)
    command = parse(flags, description)
    from rws.predict.command import predict

    return predict(command)
