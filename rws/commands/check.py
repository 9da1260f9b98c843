"""Look at every file of a data set, say what it holds and what is wrong, and stop.

    rws check --config camvid_light --data.root data/camvid
    rws check --config folder --data.root mine

It takes the flags of `rws train`. The set is that of --config, --data.name and --data.root.
"""

from argparse import ArgumentParser

from rws.cli import help_parser
from rws.commands.train import answer


def make_parser(everything: bool = True) -> ArgumentParser:
    """What shows the help of the command."""
    return help_parser(__doc__, "rws check", (), everything=everything)


def main(flags: list[str]) -> int:
    """Check the data set of a command line; the exit code."""
    return answer([*flags, "--check-data"], make_parser, "the same command begins anew")
