"""`python -m rws.evaluate`; see command.py."""

import sys

from rws.evaluate.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
