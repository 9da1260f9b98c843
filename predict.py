"""Segment photographs and films: `rws predict`, from a checkout. `python predict.py --help` shows how."""

import sys
from functools import partial

from rws.commands import predict

main = partial(predict.main, prog="python predict.py")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
