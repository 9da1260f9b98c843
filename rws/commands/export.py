"""Write a trained network for other programs.

    rws export net.onnx --checkpoint runs/demo/best.pt
    rws export net.pt --checkpoint runs/demo/best.pt                     TorchScript
    rws export net.pt2 --checkpoint runs/demo/best.pt                    torch.export
    rws export net.onnx --checkpoint runs/demo/best.pt --size 512 512    fixed to one image of this size

The file holds the plain network, with the normalisation inside, and is compared with PyTorch before it takes
its place. ONNX needs `pip install ".[export]"`.
"""

from pathlib import Path

from rws.errors import Parser, add_trust, exit_code, trusted_of
from rws.predict.export.endings import ENDINGS, format_of
from rws.predict.options import ExportCommand


def make_parser() -> Parser:
    """What reads the flags of the command."""
    parser = Parser("rws export", __doc__)
    parser.add_argument("output", type=Path, help="the file to write; its ending says the format")
    parser.add_argument("--checkpoint", type=Path, required=True, help="best.pt or last.pt of a run")
    parser.add_argument("--format", choices=ENDINGS, help="of the file, where its ending is to be checked")
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="fix the input to one image of this size; without it the input is as free as the network allows",
    )
    add_trust(parser)
    return parser


def read(flags: list[str]) -> ExportCommand:
    """The export that a command line asks for.

    Raises: UserError for a wrong flag, and for a file whose ending says no format.
    """
    args = make_parser().parse_args(flags)
    form = args.format or format_of(args.output)
    return ExportCommand(form, args.output, args.checkpoint, args.size and tuple(args.size), trusted_of(args))


def main(flags: list[str]) -> int:
    """Export as a command line says; the exit code."""

    def command() -> int:
        asked = read(flags)
        from rws.predict.export.command import export  # loads torch: a wrong flag is answered at once

        return export(asked)

    return exit_code(command, results="the file is written where the command says", interrupted="interrupted")
