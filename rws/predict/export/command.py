"""`python predict.py --export FORMAT OUT --checkpoint X`."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from rws.errors import UserError
from rws.predict.export.formats import FORMATS, require_packages
from rws.predict.export.write import Exported, export_network
from rws.runs.model_file import Card, load_trained

SMALLEST_SIDE = 32


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(
            f"command line: {message}; --export goes with --checkpoint and --export-size alone, and writes "
            "the plain network"
        )


def is_export(argv: Sequence[str]) -> bool:
    """Whether a command line asks for an export, which takes nothing that prediction takes."""
    return any(flag.split("=")[0] in ("--export", "--export-size") for flag in argv)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="predict.py", description="Write a trained network for other programs.")
    parser.add_argument(
        "--export",
        nargs=2,
        required=True,
        metavar=("FORMAT", "OUT"),
        help=", ".join(FORMATS),
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="best.pt or last.pt of a run")
    parser.add_argument(
        "--export-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="fix the input to one image of this size; without it the input is as free as the network allows",
    )
    return parser.parse_args(argv)


def _checked(args: argparse.Namespace) -> tuple[str, Path]:
    """Raises: UserError."""
    name, path = args.export[0], Path(args.export[1])
    if name not in FORMATS:
        raise UserError(f"command line: --export {name}: no such format; choose from {', '.join(FORMATS)}")
    endings = FORMATS[name].endings
    if path.suffix not in endings:
        raise UserError(f"{path}: a file of --export {name} must end in {' or '.join(endings)}")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of a file to --export")
    if path.resolve() == args.checkpoint.resolve():
        raise UserError(f"{path}: would overwrite the checkpoint; give another name to --export")
    if args.export_size and min(args.export_size) < SMALLEST_SIDE:
        size = " ".join(map(str, args.export_size))
        raise UserError(f"command line: --export-size {size}: a side needs {SMALLEST_SIDE} pixels at least")
    return name, path


def export(argv: Sequence[str]) -> int:
    """Export, and say what was written and how it was checked; the exit code.

    Raises: UserError.
    """
    args = _parse(argv)
    name, path = _checked(args)
    require_packages(name)
    network, card = load_trained(args.checkpoint)
    size = tuple(args.export_size or (card.base_size, card.base_size))
    print(f"exporting {card.network} as {name}; with some networks this takes minutes")
    start = time.perf_counter()
    try:
        with _terminable():
            found = export_network(network, card, name, path, size, fixed=args.export_size is not None)
    except KeyboardInterrupt:
        print(f"interrupted; {path} was not written", file=sys.stderr)
        return 130
    _say(found, card, name, path, time.perf_counter() - start)
    return 0


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that what was begun is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(found: Exported, card: Card, name: str, path: Path, seconds: float) -> None:
    for note in found.notes:
        print(f"note: {note}")
    shape = ", ".join(map(str, found.shape))
    checked = ", ".join("x".join(map(str, each)) for each in found.checked)
    print(f"{path}: {name}, {path.stat().st_size / 1e6:.1f} MB, in {seconds:.0f} s")
    print(f"input: images ({shape}), float32 RGB in [0, 1]; the normalisation is inside")
    print(f"output: logits of {card.classes.num_classes} classes at the input's size; their names are within")
    print(f"checked against PyTorch on {checked}: largest difference {found.difference:.1e}")
