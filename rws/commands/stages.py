"""List the modules of a network that could be stages, and stop.

    rws stages --model.name smp:Unet:resnet34
    rws stages --config voc2012_resnet50

It takes the flags of `rws train`.
"""

from argparse import ArgumentParser

from rws.cli import help_parser
from rws.commands.train import answer


def make_parser(everything: bool = True) -> ArgumentParser:
    """What shows the help of the command."""
    return help_parser(__doc__, "rws stages", (), everything=everything)


def main(flags: list[str]) -> int:
    """List the stages of the network of a command line; the exit code."""
    return answer([*flags, "--list-stages"], make_parser, "nothing was written")
