"""Scores of trained networks on a list of a data set, in one way to predict or several, in one table.

rws val --checkpoint runs/demo/best.pt
rws val --checkpoint runs/camvid/best.pt --list test --ways plain flip ms_flip quarters rws
rws val --checkpoint runs/a/last.pt runs/b/last.pt        side by side, paired by image
rws val --model deeplabv3_resnet50 --data.name voc2012 --data.root data

--model takes checkpoints, published networks of torchvision, and module:factory, --checkpoint files alone.
Without --config the data is that of the run in whose folder the first checkpoint lies, or --data.name and
--data.root. Further flags are those of train.py: --data.*, --device.
"""

from collections.abc import Sequence
from pathlib import Path

from rws.config.flags import option_flags
from rws.errors import Parser, UserError, add_trust, exit_code, trusted_of
from rws.evaluate.names import NAMES, check_passes
from rws.predict.flags import add_backend
from rws.runtime.bars import say
from rws.runtime.signals import handled

PROG = "rws val"


def make_parser() -> Parser:
    """The flags that are not those of train.py."""
    parser = Parser(PROG, __doc__, further=option_flags())
    parser.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="NAME",
        help="checkpoints, published networks, module:factory",
    )
    parser.add_argument(
        "--checkpoint", type=Path, nargs="+", default=[], metavar="FILE", help="best.pt or last.pt of runs"
    )
    parser.add_argument("--list", metavar="NAME", help="of the data set; default: its list of validation")
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=NAMES,
        default=["plain"],
        metavar="WAY",
        help=f"some of {', '.join(NAMES)}",
    )
    parser.add_argument(
        "--passes", type=float, metavar="K", help="of rws, attention, random, oracle: an image, on average; 3"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER", help="default: val/ beside the first network's file, or here"
    )
    parser.add_argument(
        "--worst", type=int, default=12, metavar="N", help="worst images on a sheet; 12, 0 for none"
    )
    add_backend(parser)
    add_trust(parser)
    return parser


def usual_output(networks: Sequence[str | Path], list_name: str | None) -> Path:
    """val/ beside the first network's file, or here where none is a file; val_NAME/ for another list."""
    name = "val" if list_name in (None, "val") else f"val_{list_name.replace('/', '_')}"
    folders = [Path(network).parent for network in networks if Path(network).is_file()]
    return (folders or [Path()])[0] / name


def score(arguments: list[str]) -> None:
    """Score networks, print the tables and write the results.

    Raises: UserError for whatever is wrong.
    """
    parser = make_parser()
    chosen, flags = parser.parse_known_args(arguments)
    networks = (*chosen.checkpoint, *chosen.model)
    if not networks:
        parser.error("give --checkpoint or --model")
    if chosen.worst < 0:
        raise UserError(f"command line: --worst {chosen.worst}: must be 0 or more")
    check_passes(chosen.passes, chosen.ways)
    # Late, so that a wrong flag is answered without loading torch.
    from rws.evaluate.validation import ValCommand, validate

    output = chosen.output or usual_output(networks, chosen.list)
    command = ValCommand(
        networks,
        tuple(flags),
        chosen.list,
        tuple(chosen.ways),
        chosen.passes,
        output,
        chosen.worst,
        trusted_of(chosen),
        chosen.backend,
    )
    with handled():
        found = validate(command)
    say(*found.table().split("\n"), "", f"written: {output}")


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    return exit_code(
        lambda: score(arguments),
        results="results are written into --output",
        interrupted="interrupted; no result was written",
    )
