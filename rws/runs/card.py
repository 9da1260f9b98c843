"""What the file of a trained network says of it beside its weights, and how that is read: a file may lie."""

import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields

from torchvision.transforms import v2

from rws.data.classes import MOST_CLASSES, ClassSet
from rws.data.transforms import Normalisation, eval_transform, finish
from rws.errors import UserError
from rws.models import find_family

MOST_BASE_SIZE = 8192  # pixels; a network that sees more at once fits no machine

MOST_LEVEL = 1e30  # a value of a pixel


@dataclass(frozen=True)
class Card:
    """What a state_dict does not say.

    base_size: short side in pixels at which the network was evaluated. levels: the values that were black and
    white in images of more than 8 bits; None where it was trained on none.

    Raises: UserError for a base_size that no machine can do.
    """

    network: str
    aux: bool
    stages: tuple[str, ...]
    classes: ClassSet
    base_size: int
    levels: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.base_size <= MOST_BASE_SIZE:
            raise UserError(f"base_size {self.base_size}: must be 1 to {MOST_BASE_SIZE} pixels")

    @property
    def normalisation(self) -> Normalisation:
        family = find_family(self.network)
        return Normalisation(family.mean, family.std)

    def transform(self) -> v2.Transform:
        """What turns an image into the network's input, the same in evaluation, scoring and prediction."""
        return eval_transform(self.base_size, self.normalisation)

    def at_own_size(self) -> v2.Transform:
        """The same for pixels that are not to be resized."""
        return v2.Compose(finish(self.normalisation))


Fits = Callable[[object], bool]


def _number(most: int) -> Fits:
    return lambda value: type(value) is int and 0 <= value <= most


def _text(form: str) -> Fits:
    return lambda value: type(value) is str and re.fullmatch(form, value) is not None


def _several(fits: Fits, least: int, most: int) -> Fits:
    return lambda value: (
        type(value) in (list, tuple) and least <= len(value) <= most and all(fits(each) for each in value)
    )


def _or_none(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


def _real(value: object) -> bool:
    return type(value) in (int, float) and -MOST_LEVEL <= value <= MOST_LEVEL


def _range(value: object) -> bool:
    return _several(_real, 2, 2)(value) and value[0] < value[1]


_LEVEL, _NAME = _number(255), _text(r"(?s).{1,200}")
# What the fields of a stored card and of its classes must hold.
CARD: dict[str, Fits] = {
    "network": _text(r"[\w.:-]{1,200}"),
    "aux": lambda value: type(value) is bool,
    "stages": _several(_text(r"[\w.:/ -]{1,200}"), 0, 1000),
    "classes": lambda value: type(value) is dict,
    "base_size": _number(MOST_BASE_SIZE),
    "levels": _or_none(_range),
}
CLASSES: dict[str, Fits] = {
    "names": _several(_NAME, 1, MOST_CLASSES),
    "palette": _several(_several(_LEVEL, 3, 3), 1, MOST_CLASSES),
    "background": _or_none(_number(MOST_CLASSES - 1)),
    "ignore_index": _LEVEL,
    "file_values": _or_none(_several(_LEVEL, 1, MOST_CLASSES)),
    "void": _or_none(_several(_LEVEL, 1, 256)),
}


def read_card(stored: object) -> Card:
    """The card of a file, every field of which must be of its kind.

    Raises: UserError that names the field.
    """
    card = _checked(stored, CARD, Card, "card")
    classes = ClassSet(**_checked(card["classes"], CLASSES, ClassSet, "card.classes"))
    count, values = classes.num_classes, classes.file_values or range(classes.num_classes)
    if classes.background is not None and classes.background >= count:
        raise UserError(f"card.classes: background {classes.background} is none of the {count} classes")
    if len(set(values)) != count:
        raise UserError(f"card.classes: file_values are not {count} different numbers, one a class")
    if classes.ignore_index < count:
        raise UserError(f"card.classes: ignore_index {classes.ignore_index} is a class of its own")
    return Card(**{**card, "classes": classes})


def _checked(stored: object, kinds: dict[str, Fits], made: type, where: str) -> dict[str, object]:
    """The fields of a stored dataclass, lists as tuples.

    Raises: UserError for one that is missing, unknown or of another kind.
    """
    if type(stored) is not dict:
        raise UserError(f"{where} is no dictionary")
    if unknown := [key for key in stored if key not in kinds]:
        raise UserError(f"{where} has an unknown field {_shown(unknown[0])}")
    for field in fields(made):
        if field.name not in stored:
            if field.default is MISSING:
                raise UserError(f"{where} has no field {field.name}")
        elif not kinds[field.name](stored[field.name]):
            raise UserError(f"{where}.{field.name} cannot be {_shown(stored[field.name])}")
    return {key: _as_tuples(value) for key, value in stored.items()}


def _as_tuples(value: object) -> object:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def _shown(value: object) -> str:
    """The beginning of a value that may be anything, on one line."""
    text = " ".join(ascii(value)[:60].split()) if isinstance(value, str | int | float | None) else ""
    return text or f"a {type(value).__name__}"
