"""Write the report of a finished run again, from its folder.

    rws report runs/demo
    rws report runs/cow --data.root elsewhere      where the data has moved

Further flags are those of `rws train`, above all --data.root and --device.
"""

import sys
from pathlib import Path

from rws.config.flags import option_flags
from rws.errors import Parser, add_trust, exit_code, trusted_of


def make_parser() -> Parser:
    """What reads the flags of the command that are not those of `rws train`."""
    parser = Parser("rws report", __doc__, further=option_flags())
    parser.add_argument("run", type=Path, help="folder of the run, runs/<name>")
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        options, flags = make_parser().parse_known_args(arguments)
        # Late, since all that loads torch takes a while.
        from rws.report.write import rebuild

        rebuild(options.run, flags, trusted_of(options))

    return exit_code(
        command,
        results="the report is written into the run's folder",
        interrupted="interrupted; the report is as it was",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
