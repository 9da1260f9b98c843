"""Train a network with RWS: `rws train`, from a checkout. `python train.py --help` shows how."""

import sys
from functools import partial

from rws.commands import train

main = partial(train.main, prog="python train.py")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
