"""Commands under the names that they once had: each says the new one and ends.

This folder is on the path of the package `rws` (rws/__init__.py): `python -m rws.guide` finds guide.py here.
"""

import sys
from typing import NoReturn


def say(old: str, new: str) -> NoReturn:
    """End with one line and exit code 2."""
    print(f"error: python -m {old} is now python -m {new}", file=sys.stderr)
    sys.exit(2)
