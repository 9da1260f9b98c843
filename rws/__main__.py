"""`python -m rws` is the command `rws`."""

import sys

from rws.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
