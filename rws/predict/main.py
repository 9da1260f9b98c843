"""From the flags of `rws predict` to the command that they name."""

from collections.abc import Sequence
from functools import partial

from rws.errors import exit_code
from rws.predict.options import is_export, parse, parse_export


def run_command_line(flags: Sequence[str], description: str | None, prog: str) -> int:
    """Predict or export as the flags of `prog` say; the exit code. --help begins with `description`."""
    return exit_code(
        partial(_run, flags, description, prog),
        results="results are written into --output",
        interrupted="interrupted; what was finished before is in the output",
    )


def _run(flags: Sequence[str], description: str | None, prog: str) -> int:
    # What loads torch is imported late: a wrong flag is answered at once.
    if is_export(flags):
        export_command = parse_export(flags, prog)
        from rws.predict.export.command import export

        return export(export_command)
    command = parse(flags, description, prog)
    from rws.runtime.quick_torchvision import load_torchvision

    load_torchvision()
    from rws.predict.command import predict

    return predict(command)
