"""What an option takes, in words: the form to write where a value is not of its type."""

import math
import types
from typing import Literal, Union, get_args, get_origin

from jsonargparse.typing import (
    ClosedUnitInterval,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from rws.config import OPTIONS

_WORDS = {
    bool: "true or false",
    str: "a text",
    int: "a whole number",
    float: "a number",
    PositiveInt: "a whole number above 0",
    NonNegativeInt: "a whole number, 0 or more",
    PositiveFloat: "a number above 0",
    NonNegativeFloat: "a number, 0 or more",
    ClosedUnitInterval: "a number from 0 to 1",
}
# What people write for null where a text is taken, which would be taken for that text.
NO_TEXT = ("none", "no", "off", "false")


def form(kind: object) -> str:
    """What a type takes, in words."""
    inner = get_args(kind)
    if kind in _WORDS:
        return _WORDS[kind]
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(inner) if len(inner) > 1 else str(inner[0])
    if get_origin(kind) in (types.UnionType, Union):
        return ", or ".join("null" if each is type(None) else form(each) for each in inner)
    if get_origin(kind) is tuple and inner[-1] is not ...:
        return f"{len(inner)} values in brackets, each {form(inner[0])}"
    return f"a list in brackets, each {form(inner[0])}"


def example(kind: object, default: object) -> str | None:
    """A list as one writes it, for options that take one."""
    if isinstance(default, tuple | list):
        return shown(default)
    kind = next((k for k in (kind, *get_args(kind)) if get_origin(k) in (tuple, list)), None)
    if kind is None:
        return None
    return "[layer1, layer2]" if get_origin(kind) is list else shown(range(len(get_args(kind))))


def wrong(key: str, value: object, where: str) -> str:
    """The line for a value from `where`, or the words after a flag, that an option does not take."""
    kind, of_command = OPTIONS[key].type, where == "command line"
    several = of_command and isinstance(value, list)
    given = " ".join(value) if several else shown(value)
    line = f'{where}: "{key}": {given} given, needed is {form(kind)}'
    if text := example(kind, OPTIONS[key].default):
        text = shown(value) if several else text
        return line + (f', as --{key} "{text}"' if of_command else f", as {key.rpartition('.')[2]}: {text}")
    if "text" in form(kind) and (several or value is None):
        return line + "; in quotes where it is meant as one"
    return line


def shown(value: object) -> str:
    """A value as it is written in a file."""
    if isinstance(value, list | tuple | range):
        return f"[{', '.join(map(shown, value))}]"
    text = "nothing" if value == "" else "null" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def takes(key: str, value: object) -> bool:
    """Whether a value of an option's type makes sense: no empty text, no infinite number, and null if it may.

    Words that people write for null are refused where any other text is taken.
    """
    kind = OPTIONS[key].type
    optional = type(None) in get_args(kind)
    if value is None:
        return optional
    if isinstance(value, str):
        return value != "" and not (optional and value.casefold() in NO_TEXT)
    numbers = value if isinstance(value, tuple | list) else [value]
    return all(math.isfinite(number) for number in numbers if isinstance(number, float))
