"""Names of files, classes and modules as matplotlib is to show them: as they are."""

from rws.errors import safe

PLAIN_TEXT = {"text.parse_math": False}  # a class may be called US$ or $x$


def label(name: str) -> str:
    """A name on one line, with a blank before _, where matplotlib would leave it out of a legend."""
    return f" {safe(name)}" if name.startswith("_") else safe(name)
