"""Write the report of a finished run again, from its folder.

python -m rws.look.html_report runs/demo
python -m rws.look.html_report runs/cow --data.root elsewhere      where the data has moved

Further flags are those of train.py, above all --data.root and --device.
"""

import argparse
import sys
from pathlib import Path

from rws.errors import exit_code


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rws.look.html_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, help="folder of the run, runs/<name>")
    options, flags = parser.parse_known_args(arguments)

    def command() -> None:
        # Late, since all that loads torch takes a while.
        from rws.look.html_report.write import rebuild

        rebuild(options.run, flags)

    return exit_code(
        command,
        results="the report is written into the run's folder",
        interrupted="interrupted; the report is as it was",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
