"""What the numbers in a label mean: names, colours, background and the value that counts nowhere."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from rws.data.palette import DISTINCT, Colour, distinct_colours
from rws.errors import UserError

MOST_CLASSES = 254
UNKNOWN = 254  # in the tables: neither a class nor ignored


@cache
def voc_colour(index: int) -> Colour:
    """The colour VOC's devkit gives to a label value: its bits, dealt to R, G and B from the top bit down.

    Source: VOClabelcolormap.m of the PASCAL VOC development kit.
    """
    red = green = blue = 0
    for shift in range(7, -1, -1):
        red |= (index & 1) << shift
        green |= (index >> 1 & 1) << shift
        blue |= (index >> 2 & 1) << shift
        index >>= 3
    return red, green, blue


def named(category: str) -> tuple[str, ...]:
    """The classes that a category names: one, or several with commas between them, each once."""
    return tuple(dict.fromkeys(name.strip() for name in category.split(",")))


@dataclass(frozen=True)
class ClassSet:
    """The classes of a data set; class i is `names[i]`, shown in `palette[i]` (8-bit RGB).

    file_values: the number that stands for class i in the set's label files; None where it is i.
    void: the numbers in these files that count nowhere; None for `ignore_index` alone.
    """

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    background: int | None
    ignore_index: int = 255
    file_values: tuple[int, ...] | None = None
    void: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if len(self.names) != len(self.palette):
            counts = f"{len(self.names)} class names but {len(self.palette)} colours"
            raise UserError(f"{counts}: give one colour for each class")
        if self.num_classes > MOST_CLASSES:
            raise UserError(f"{self.num_classes} classes: labels of 8 bits hold {MOST_CLASSES} at most")

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included and the ignored value not."""
        return len(self.names)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Indices of the classes that are not background."""
        return tuple(index for index in range(self.num_classes) if index != self.background)

    @property
    def in_files(self) -> tuple[int, ...]:
        """The number of each class in the set's label files."""
        return tuple(range(self.num_classes)) if self.file_values is None else self.file_values

    @property
    def void_in_files(self) -> tuple[int, ...]:
        """The numbers in the set's label files that count nowhere."""
        return (self.ignore_index,) if self.void is None else self.void

    def file_table(self) -> np.ndarray:
        """From a number in a label file to its class, `ignore_index` or UNKNOWN.

        Shape: (256,) uint8.
        """
        table = np.full(256, UNKNOWN, np.uint8)
        table[list(self.void_in_files)] = self.ignore_index
        table[list(self.in_files)] = np.arange(self.num_classes)
        return table

    def to_file(self, label: np.ndarray) -> np.ndarray:
        """A label in the numbers of the set's label files, as its test server takes them.

        What counts nowhere gets the first of the numbers for it.

        Shape: (H, W) uint8 in and out.
        """
        table = np.full(256, self.void_in_files[0], np.uint8)
        table[: self.num_classes] = self.in_files
        return table[label]

    @property
    def colours_in_files(self) -> tuple[Colour, ...]:
        """The colour of each class in label files in colours: VOC's of a class to which nobody gave one."""
        of_voc = {colour: voc_colour(number) for number, colour in enumerate(DISTINCT)}
        return tuple(
            # Shown in the colour of its place, in files in that of its number there.
            voc_colour(number) if DISTINCT[place : place + 1] == (colour,) else of_voc.get(colour, colour)
            for place, (colour, number) in enumerate(zip(self.palette, self.in_files))
        )

    def by_colour(self) -> dict[Colour, int]:
        """The number in a label file for each colour of a label in colours.

        VOC's border, and black where no class is black, count nowhere. The colours in which labels are shown
        are known, too.

        Raises: UserError where two classes have one colour.
        """
        void, colours = self.void_in_files[0], self.colours_in_files
        found = {(0, 0, 0): void, voc_colour(255): void, **dict(zip(self.palette, self.in_files))}
        for index, colour in enumerate(colours):
            if colour in colours[:index]:
                twin = self.names[colours.index(colour)]
                raise UserError(
                    f"colour {colour} is that of {twin} and of {self.names[index]}: labels in colours cannot "
                    "be told apart; use labels that hold class numbers"
                )
            found[colour] = self.in_files[index]
        return found

    def index(self, category: str) -> int:
        """Index of a foreground class.

        Raises: UserError that lists the classes, and the nearest one, if there is none of this name.
        """
        known = {self.names[index]: index for index in self.foreground}
        if category not in known:
            near = difflib.get_close_matches(str(category).lower(), known, n=1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise UserError(f"no class '{category}': {hint}the classes are {', '.join(known)}")
        return known[category]

    def binary(self, category: str) -> "ClassSet":
        """The classes of a task on one class, or on several with commas between them.

        Background is 0 (black); the classes follow in the order given, in their own colours.

        Raises: UserError if there is no such foreground class.
        """
        names = named(category)
        colours = [self.palette[self.index(name)] for name in names]
        return ClassSet(("background", *names), ((0, 0, 0), *colours), 0, self.ignore_index)

    def flat_palette(self, *, files: bool = False) -> list[int]:
        """The 768 numbers for PIL's `putpalette`; values of no class show in VOC's colours.

        With `files` for a label in the numbers of the set's label files.
        """
        colours = list(map(voc_colour, range(256)))
        places = self.in_files if files else range(self.num_classes)
        for place, colour in zip(places, self.palette):
            colours[place] = colour
        for void in self.void_in_files if files else (self.ignore_index,):
            colours[void] = voc_colour(255)  # (224, 224, 192), VOC's border
        return [level for colour in colours for level in colour]


BACKGROUND = "background"


def named_classes(names: Sequence[str]) -> ClassSet:
    """Classes of which nothing but the names is known; one that is called background is that, and black.

    Raises: UserError for too many, and for a name that stands there twice.
    """
    names = tuple(map(str, names))
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise UserError(f"classes: {twice[0]!r} stands there twice; give each class a name of its own")
    background = names.index(BACKGROUND) if BACKGROUND in names else None
    return ClassSet(names, distinct_colours(len(names), background), background)


# fmt: off
_VOC_NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)
# fmt: on
VOC2012 = ClassSet(_VOC_NAMES, tuple(map(voc_colour, range(21))), background=0)

_CAMVID = {
    "sky": (128, 128, 128),
    "building": (128, 0, 0),
    "pole": (192, 192, 128),
    "road": (128, 64, 128),
    "pavement": (60, 40, 222),
    "tree": (128, 128, 0),
    "sign": (192, 128, 128),
    "fence": (64, 64, 128),
    "car": (64, 0, 128),
    "pedestrian": (64, 64, 0),
    "bicyclist": (0, 128, 192),
}
CAMVID = ClassSet(tuple(_CAMVID), tuple(_CAMVID.values()), background=None)

# Okabe and Ito's colours stay apart for all common kinds of colour blindness.
_DEMO = {
    "background": (0, 0, 0),
    "kite": (240, 228, 66),
    "fish": (86, 180, 233),
    "lamp": (0, 158, 115),
    "spider": (213, 94, 0),
    "flower": (204, 121, 167),
}
DEMO = ClassSet(tuple(_DEMO), tuple(_DEMO.values()), background=0)
