"""Write the report of a finished run again, from its folder.

python -m rws.html_report runs/demo
python -m rws.html_report runs/cow --data.root elsewhere      where the data has moved

Further flags are those of train.py, above all --data.root and --device.
"""

import argparse
import sys
from pathlib import Path

from rws.errors import UserError, said


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m rws.html_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=Path, help="folder of the run, runs/<name>")
    options, flags = parser.parse_known_args(arguments)
    try:
        # Late, since all that loads torch takes a while.
        from rws.html_report.write import rebuild

        rebuild(options.run, flags)
    except UserError as error:
        print(f"error: {said(error)}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}; the report is written into the run's folder", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the report is as it was", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
