"""What is wrong with labels that are each in order: files of one set that do not mean the same."""

from dataclasses import dataclass, field

import numpy as np

from rws.data.classes import Colour
from rws.data.files import Header
from rws.data.label_files import disagreement
from rws.data.split import Split
from rws.errors import UserError

_NAMED = 5
_VOID = 255


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


@dataclass
class TwoValued:
    """Labels with 0 and 255 alone, of which all of the object is ignored.

    two: the files that hold both and nothing else. numbered: those with numbers of classes and no 255.
    both: how many hold numbers of classes and 255, so that 255 is known to be what counts nowhere.
    """

    split: Split
    two: list[str] = field(default_factory=list)
    numbered: list[str] = field(default_factory=list)
    both: int = 0

    def add(self, name: str, counts: np.ndarray) -> None:
        """Shape: (256,) of how often each number is in the file."""
        void, numbers = counts[_VOID] > 0, counts[1:_VOID].any()
        self.both += bool(void and numbers)
        if void and counts[0] and not numbers:
            self.two.append(name)
        elif numbers and not void:
            self.numbered.append(name)

    def faults(self) -> list[str]:
        """All labels with 0 and 255 alone, or in a task of two classes some of them."""
        if not self.two or self.both or not self._is_plain():
            return []
        of = f"{self.split.root}: the labels of {self.split.split} hold"
        if not self.numbered:
            return [
                f"{of} 0 and 255 only, and 255 counts nowhere; write 1 for the class (or its own number) "
                "instead"
            ]
        if self.split.source_classes.num_classes > 2:
            return []
        return [
            f"{of} 0 and 255 only in {_some(self.two)}, but the class's number in {_some(self.numbered)}; "
            "255 counts nowhere: write the class alike in all"
        ]

    def notes(self) -> list[str]:
        """In a task of more classes, where 255 may well be what counts nowhere."""
        plain = self._is_plain() and self.split.source_classes.num_classes > 2
        if not (plain and self.two and self.numbered) or self.both:
            return []
        return [
            f"0 and 255 alone are in {_some(self.two)}, numbers of classes without 255 in "
            f"{_some(self.numbered)}: 255 counts nowhere"
        ]

    def _is_plain(self) -> bool:
        classes = self.split.source_classes
        return classes.in_files[0] == 0 and classes.void_in_files == (_VOID,)


@dataclass
class Palettes:
    """Labels in mode P whose colours say something else than their numbers, or than other files' colours.

    against: files whose colours are those of other classes. number_of: for each colour the number that it has
    in a file, and its name. crossed: a colour with two numbers, in words; recoloured: a number with two.
    """

    split: Split
    against: list[str] = field(default_factory=list)
    number_of: dict[Colour, tuple[int, str]] = field(default_factory=dict)
    colour_of: dict[int, tuple[Colour, str]] = field(default_factory=dict)
    crossed: str = ""
    recoloured: str = ""

    def __post_init__(self) -> None:
        try:
            self._by_colour = self.split.source_classes.by_colour()
        except UserError:  # two classes of one colour
            self._by_colour = {}

    def add(self, name: str, label: Header | None, counts: np.ndarray) -> None:
        """A file's header, and how often each number is in it.

        Shape: counts (256,).
        """
        if label is None or label.palette is None or self.split.reading.convert_rgb_labels:
            return
        used = np.flatnonzero(counts[: len(label.palette)])
        if wrong := disagreement(label.palette, used, self._by_colour):
            self.against.append(f"{name} ({wrong[0]} is shown in {wrong[1]}, the colour of {wrong[2]})")
        colours = {int(n): tuple(label.palette[n].tolist()) for n in used if n != _VOID}
        if len(colours) > 1 and len(set(colours.values())) == len(colours):
            for number, colour in colours.items():
                self._compare(number, colour, name)

    def _compare(self, number: int, colour: Colour, name: str) -> None:
        other, first = self.number_of.setdefault(colour, (number, name))
        if other != number and not self.crossed:
            self.crossed = f"{colour} is {other} in {first} and {number} in {name}"
        shown, first = self.colour_of.setdefault(number, (colour, name))
        if shown != colour and not self.recoloured:
            self.recoloured = f"{number} is {shown} in {first} and {colour} in {name}"

    def compare(self, other: "Palettes") -> None:
        """Hold the colours against those of another split."""
        for colour, (number, name) in other.number_of.items():
            self._compare(number, colour, name)

    def faults(self) -> list[str]:
        """Numbers in the colours of other classes, and colours with two numbers."""
        of = f"{self.split.root}: {len(self.against)} labels of {self.split.split}"
        if self.against:
            return [
                f"{of} show numbers in the colours of other classes: {_some(self.against)}; where colours "
                "are right take --data.convert-rgb-labels, else save the labels in mode L"
            ]
        if self.crossed:
            return [
                f"{self.split.root}: the palettes of labels contradict each other: {self.crossed}; save all "
                "with one palette, or where the numbers are right in mode L"
            ]
        return []

    def notes(self) -> list[str]:
        """A number in two colours, whose number counts."""
        if not self.recoloured or self.crossed or self.against:
            return []
        return [f"the palettes of labels differ: {self.recoloured}; the numbers count, not the colours"]
