"""The classes of a set of one's own: classes.txt, and the like of it that label tools write."""

import re
from collections import Counter
from pathlib import Path

from rws.data.classes import MOST_CLASSES, ClassSet
from rws.data.palette import Colour, distinct_colours
from rws.errors import UserError

_NUMBER = re.compile(r"^(\d+)\s*[:;=.)\t -]\s*(?=\D)(.+)$")
# A comment, a key and an item of YAML, and colours behind a blank.
_NO_NAME = re.compile(r"^[#-]\s|:$|\s\d+\s+\d+\s+\d+$")
_HEADER = ["pixel value", "class"]  # of Roboflow
_IGNORED = "__ignore__"  # labelme's name for 255
MOST_NUMBER = 253


def read_classes(path: Path) -> ClassSet:
    """The classes of a file, a line each: `name` or `name, r, g, b`; numbers before all the names are those
    in the masks.

    background, _background_ (as label tools write it) and bg are background.

    Raises: UserError for a missing file, fewer than two classes, one twice, what is no
        name, a wrong colour and wrong numbers.
    """
    rows = [[part.strip() for part in line.split(",")] for line in _lines(path)]
    rows = [row for row in rows if [part.lower() for part in row] != _HEADER and row[0] != _IGNORED]
    numbers, rows = _numbered(rows)
    names = [row[0] for row in rows]
    for name in names:
        if not name or _NO_NAME.search(name):
            raise UserError(
                f"{path}: {name!r} is no name of a class; write `name` or `name, r, g, b` a line, and "
                "nothing else"
            )
    if len(names) < 2:
        raise UserError(f"{path}: {len(names)} classes; a network needs two at least, such as background")
    if len(names) > MOST_CLASSES:
        raise UserError(f"{path}: {len(names)} classes; labels of 8 bits hold {MOST_CLASSES} at most")
    _refuse_twice(path, names)
    if numbers is not None:
        _refuse_twice(path, numbers)
        if max(numbers) > MOST_NUMBER:
            raise UserError(f"{path}: {max(numbers)} is no number of a class; write 0 to {MOST_NUMBER}")
    in_files = None if numbers in (None, list(range(len(names)))) else tuple(numbers)
    background = next((number for number, name in enumerate(names) if is_background(name)), None)
    # Black stands for number 0 in labels in VOC's colours, so for no other.
    ours = distinct_colours(len(names), 0 if background == 0 else None)
    palette = tuple(_colour(path, row) or own for row, own in zip(rows, ours))
    return ClassSet(tuple(names), palette, background, file_values=in_files)


def is_background(name: str) -> bool:
    """Whether a class is what is nothing else, by any of the names that tools give it."""
    return name.strip("_ ").lower() in ("background", "bg")


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
        raise UserError(
            f"{path}: {reason}; write a class a line, in the order of the masks' numbers"
        ) from None
    return [line for line in lines if line.strip()]


def _numbered(rows: list[list[str]]) -> tuple[list[int] | None, list[list[str]]]:
    """The numbers before the names, where all lines have one, and the rows without them."""
    if rows and all(row[0].isdecimal() and len(row) in (2, 5) for row in rows):
        return [int(row[0]) for row in rows], [row[1:] for row in rows]
    found = [_NUMBER.match(row[0]) for row in rows]
    if not rows or not all(found):
        return None, rows
    return [int(match[1]) for match in found], [[match[2], *row[1:]] for match, row in zip(found, rows)]


def _refuse_twice(path: Path, given: list) -> None:
    if twice := [one for one, count in Counter(given).items() if count > 1]:
        raise UserError(f"{path}: {twice[0]!r} stands there twice; name each class once")


def _colour(path: Path, row: list[str]) -> Colour | None:
    if len(row) == 1:
        return None
    levels = [int(level) if level.isdecimal() else 256 for level in row[1:]]
    if len(levels) != 3 or max(levels) > 255:
        raise UserError(
            f"{path}: {', '.join(row)!r} is no class; write `name` or `name, r, g, b` with 0..255"
        )
    return tuple(levels)
