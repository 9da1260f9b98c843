"""Names of files, classes and modules as matplotlib is to show them: as they are."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rws.errors import safe

PLAIN_TEXT = {"text.parse_math": False}  # a class may be called US$ or $x$


@contextmanager
def plain_text(style: Mapping[str, object] = PLAIN_TEXT) -> Iterator[None]:
    """While matplotlib draws names; a letter that its font lacks becomes a box, of which it does not warn."""
    from matplotlib import rc_context

    with warnings.catch_warnings(), rc_context(style):
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        yield


def short(names: Sequence[str]) -> list[str]:
    """Names of modules without the parts with which all of them begin; a number keeps the part before it.

    "encoder.blocks.1" and "encoder.blocks.2" are "blocks.1" and "blocks.2".
    """
    parts = [name.split(".") for name in names]
    while parts and all(len(p) > 1 and p[0] == parts[0][0] and not p[1].isdigit() for p in parts):
        parts = [p[1:] for p in parts]
    return [".".join(p) for p in parts]


def label(name: str) -> str:
    """A name on one line, with a blank before _, where matplotlib would leave it out of a legend."""
    return f" {safe(name)}" if name.startswith("_") else safe(name)
