"""What a reader of a format finds: annotated images, the names of the classes, and what it leaves out."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rws.data.classes import MOST_CLASSES
from rws.data.import_.shapes import Patch, Size, Unread
from rws.data.sets.classes_file import is_background
from rws.data.sets.folder_layouts import PARTS
from rws.errors import UserError, said

IGNORED = 255
_IGNORED_NAME = "__ignore__"  # labelme's
_SPLITS = {word: split for split, words in PARTS.items() for word in words}


class NoArea(Exception):
    """A shape that covers nothing, such as a point; its image is read without it."""


@dataclass(frozen=True)
class Shape:
    """One object: its class, and what draws it, given the size of the picture that it was drawn on."""

    name: str
    draw: Callable[[Size], Patch]


@dataclass(frozen=True)
class Objects:
    """The shapes of an image, later ones above earlier ones."""

    shapes: Sequence[Shape]

    def label(self, size: Size, numbers: dict[str, int]) -> tuple[np.ndarray, int, int]:
        """The label, how many of its pixels an object lost to a later one of another class, and how many
        objects are too small to cover a pixel.

        Shape: (H, W) uint8.
        Raises: Unread for a shape that cannot be drawn, and for one that lies outside of the image.
        """
        label, lost, small = np.zeros(size, np.uint8), 0, 0
        for shape in self.shapes:
            patch, number = shape.draw(size), numbers[shape.name]
            view, mask = patch.within(label)
            if not mask.any():
                if patch.outside or patch.mask.any():
                    raise Unread(
                        f"its {shape.name} lies outside of the image; is it the right image, and size?"
                    )
                small += 1
            lost += np.count_nonzero(mask & (view != 0) & (view != number))
            view[mask] = number
        return label, lost, small


@dataclass(frozen=True)
class MaskFile:
    """A label that the export holds as a picture.

    read: gives the numbers in it, of shape (H, W). names: the class of each number; 255 counts nowhere.
    """

    read: Callable[[], np.ndarray]
    names: dict[int, str]

    def label(self, size: Size | None, numbers: dict[str, int]) -> tuple[np.ndarray, int, int]:
        """As that of `Objects`; the size is the file's own.

        Raises: Unread for a number of no class, UserError for a file that cannot be read.
        """
        pixels = self.read()
        unknown = [int(n) for n in np.unique(pixels) if n != IGNORED and int(n) not in self.names]
        if unknown:
            raise Unread(f"its mask holds {unknown[0]}, which is the number of no class")
        table = np.full(256, IGNORED, np.uint8)
        for number, name in self.names.items():
            table[number] = numbers[name]
        return table[pixels], 0, 0


@dataclass(frozen=True)
class Picture:
    """An annotated image.

    place: where the annotation stands, for messages. image: its file, or what gives the content of one. name:
    the path that its id is made of. size: (H, W) of what was annotated, None where the export does not say.
    """

    place: str
    image: Path | Callable[[], bytes]
    name: str
    content: Objects | MaskFile
    size: Size | None = None
    split: str | None = None


@dataclass
class Found:
    """All that an export holds. left_out: a line for each thing that could not be read."""

    names: list[str] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def leave_out(self, place: object, reason: object) -> None:
        """Note a thing that cannot be read, and why."""
        self.left_out.append(f"{place}: {reason}")

    def with_area(self, place: str, shapes: Iterable[Callable[[], Shape]]) -> list[Shape]:
        """The shapes that cover something; the others are noted."""
        drawn = []
        for make in shapes:
            try:
                drawn.append(make())
            except NoArea as reason:
                self.leave_out(place, f"{reason}; the image is read without it")
        return drawn


def class_name(name: object) -> str | None:
    """A class's name as a line of classes.txt can hold it; None where nothing is left of it."""
    if not isinstance(name, str):
        return None
    plain = "".join(c if c.isprintable() and c != "," else " " for c in name)
    return re.sub(r"^[#-] |:$", "", " ".join(plain.split())).strip() or None


def number_classes(names: Iterable[str]) -> dict[str, int]:
    """The number of each class: background 0, the others in their order; 255 for what labelme ignores.

    Raises: UserError where there is no class but background, and for more than labels of 8 bits hold.
    """
    numbers, following = {"background": 0}, 1
    for name in dict.fromkeys(names):
        if name == _IGNORED_NAME:
            numbers[name] = IGNORED
        elif is_background(name):
            numbers[name] = 0
        else:
            numbers[name], following = following, following + 1
    if following == 1:
        raise UserError("the export names no class; annotate something, or export the classes, too")
    if following > MOST_CLASSES:
        raise UserError(
            f"the export names {following - 1} classes beside background; labels of 8 bits hold "
            f"{MOST_CLASSES - 1}: export fewer"
        )
    return numbers


def split_named(*words: str) -> str | None:
    """The split that a name of a file or folder speaks of, the last one counts: val for instances_val2017.

    A name that speaks of several, as train_val, says nothing.
    """
    for word in reversed(words):
        splits = {_SPLITS[part] for part in re.findall(r"[a-z]+", word.lower()) if part in _SPLITS}
        if len(splits) == 1:
            return splits.pop()
    return None


def load_json(path: Path) -> dict:
    """Raises: UserError for a file that is no JSON, or holds something else than names with values."""

    def once(pairs: list[tuple[str, object]]) -> dict:
        if len(tree := dict(pairs)) < len(pairs):
            twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
            raise UserError(f"{path}: {twice!r} is there twice in one object; put both into one")
        return tree

    try:
        tree = json.loads(path.read_bytes(), object_pairs_hook=once)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({said(error)}); export it again") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: holds {type(tree).__name__} where an export has names with values")
    return tree


def size_of(height: object, width: object) -> Size | None:
    """A size as an annotation gives it; None where it gives none."""
    try:
        size = int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        return None
    return size if min(size) > 0 else None
