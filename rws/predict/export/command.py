"""`rws export OUT --checkpoint X`, and `rws predict --export FORMAT OUT --checkpoint X`."""

import sys
import time
from pathlib import Path

from rws.errors import UserError
from rws.predict.export.formats import AXES, FORMATS, require_packages
from rws.predict.export.write import Exported, export_network
from rws.predict.options import ExportCommand
from rws.runs.checkpoint import load
from rws.runs.model_file import Card, load_trained
from rws.runtime.bars import say
from rws.runtime.signals import Interrupted, handled

SMALLEST_SIDE = 32


def check_command(command: ExportCommand) -> None:
    """Raises: UserError for an unknown format, a path that does not suit it, and a size that is too small."""
    name, path, size = command.form, command.path, command.size
    if name not in FORMATS:
        raise UserError(f"command line: {name}: no such format; choose from {', '.join(FORMATS)}")
    endings = FORMATS[name].endings
    if path.suffix not in endings:
        raise UserError(f"{path}: a file of {name} must end in {' or '.join(endings)}")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file")
    if path.resolve() == command.checkpoint.resolve():
        raise UserError(f"{path}: would overwrite the checkpoint; give another name")
    if _is_checkpoint(path):
        raise UserError(f"{path}: is a checkpoint, which the export would overwrite; give another name")
    if size and min(size) < SMALLEST_SIDE:
        said = " ".join(map(str, size))
        raise UserError(f"command line: a size of {said}: a side needs {SMALLEST_SIDE} pixels at least")


def _is_checkpoint(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        load(path)
    except (UserError, OSError):
        return False
    return True


def export(command: ExportCommand) -> int:
    """Export, and say what was written and how it was checked; the exit code.

    Raises: UserError for what cannot be exported, read or written.
    """
    check_command(command)
    name, path = command.form, command.path
    require_packages(name, FORMATS[name].packages)
    network, card = load_trained(command.checkpoint, command.trusted)
    size = command.size or (card.base_size, card.base_size)
    free = ("nothing",) if command.size else tuple(AXES)
    say(f"exporting {card.network} as {name}; with some networks this takes minutes")
    start = time.perf_counter()
    try:
        with handled():
            found = export_network(network, card, name, path, size, free=free)
    except KeyboardInterrupt as interrupted:
        say(f"interrupted; {path} was not written", file=sys.stderr)
        return interrupted.code if isinstance(interrupted, Interrupted) else 130
    _print_exported(found, card, name, path, time.perf_counter() - start)
    return 0


def _print_exported(found: Exported, card: Card, name: str, path: Path, seconds: float) -> None:
    for note in found.notes:
        say(f"note: {note}")
    shape = ", ".join(map(str, found.shape))
    checked = ", ".join("x".join(map(str, each)) for each in found.checked)
    say(f"{path}: {name}, {path.stat().st_size / 1e6:.1f} MB, in {seconds:.0f} s")
    say(f"input: images ({shape}), float32 RGB in [0, 1]; the normalisation is inside")
    say(f"output: logits of {card.classes.num_classes} classes at the input's size; their names are within")
    say(f"checked against PyTorch on {checked}: largest difference {found.difference:.1e}")
