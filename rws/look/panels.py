"""Pictures side by side under titles, with the classes' colours below."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from rws.data.classes import ClassSet
from rws.errors import UserError, safe

GAP = 6  # pixels between pictures
WIDEST = 16384  # that an encoder of H.264 takes
NARROWEST = 64  # pixels of a picture that somebody asked for
READABLE = 240  # pixels of a picture under a title, unless somebody asked for less
SMALLEST_TEXT, LARGEST_TEXT = 13, 40
TEXT_BY_WIDTH = 1 / 58
LEGEND_ROWS = 3
ROUNDING = 0.02  # of proportions, when a size is rounded to pixels
PAPER, INK = (255, 255, 255), (0, 0, 0)


@lru_cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, in pixels; matplotlib itself takes long to load."""
    folder = Path(find_spec("matplotlib").origin).parent
    return ImageFont.truetype(folder / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf", size)


def shortened(text: str, width: int, font: ImageFont.FreeTypeFont) -> str:
    """The text, with an ellipsis for its middle where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: kept - kept // 2]}…{text[len(text) - kept // 2 :]}"
        if font.getlength(short) <= width:
            return short
    return "…"


def panel_size(
    frame: tuple[int, int], columns: int, *, width: int | None, most: int | None, titled: bool
) -> tuple[int, int]:
    """Width and height of each of `columns` pictures that stand side by side.

    `width` is that of all of them, if somebody asked for one; without it they keep their size, but together
    are at most `most` pixels wide, and wide enough for a title if they are `titled`.

    Raises: UserError for a width at which nothing could be seen, or nothing played.
    """
    gaps = GAP * (columns - 1)
    if width is not None and width > WIDEST:
        raise UserError(f"--width {width}: is more than the {WIDEST} pixels that players take; give fewer")
    if width is None:
        own = frame[0] if most is None else min(frame[0], (most - gaps) // columns)
        own = max(own, READABLE) if titled else own
    elif (own := (width - gaps) // columns) < NARROWEST:
        raise UserError(
            f"--width {width}: leaves {own} pixels for a picture; give at least {NARROWEST * columns + gaps}"
        )
    return own, max(1, round(frame[1] * own / frame[0]))


@dataclass(frozen=True)
class Legend:
    """The foreground classes of a set and their colours, in rows below a picture `width` pixels wide.

    Where all of them would take more than three rows, those alone that are in the picture.
    """

    classes: ClassSet
    width: int
    font: ImageFont.FreeTypeFont

    @property
    def row(self) -> int:
        """Height of a row in pixels."""
        return round(1.6 * self.font.size)

    @cached_property
    def all_fit(self) -> bool:
        return len(self._rows(self.classes.foreground)) <= LEGEND_ROWS

    @cached_property
    def height(self) -> int:
        return self._height_of(len(self._rows(self.classes.foreground)) if self.all_fit else LEGEND_ROWS)

    def _height_of(self, rows: int) -> int:
        return rows * self.row + self.row // 3

    def _rows(self, indices: Sequence[int]) -> list[list[tuple[int, int]]]:
        """The classes of each row and where each begins."""
        rows: list[list[tuple[int, int]]] = [[]]
        x = 0
        for index in indices:
            length = round(2.6 * self.font.size + self.font.getlength(self._name(index)))
            if rows[-1] and x + length > self.width:
                rows.append([])
                x = 0
            rows[-1].append((index, x))
            x += length
        return rows

    def _name(self, index: int) -> str:
        return shortened(safe(self.classes.names[index]), round(self.width - 1.6 * self.font.size), self.font)

    def drawn(self, present: Sequence[int]) -> Image.Image:
        """The legend for a picture that holds the classes `present`, of the same height for all pictures."""
        rows = self._rows([i for i in self.classes.foreground if self.all_fit or i in present])
        return self._painted(rows, self.height)

    def of(self, present: Sequence[int]) -> Image.Image:
        """The classes `present` alone, in this order and in no more rows than they need."""
        rows = self._rows(present)
        return self._painted(rows, self._height_of(min(len(rows), LEGEND_ROWS)))

    def _painted(self, rows: list[list[tuple[int, int]]], height: int) -> Image.Image:
        picture = Image.new("RGB", (self.width, height), PAPER)
        draw, size = ImageDraw.Draw(picture), self.font.size
        for number, row in enumerate(rows[:LEGEND_ROWS]):
            middle = self.row // 3 + number * self.row + self.row // 2
            for index, x in row:
                box = (x + size // 4, middle - size // 2, x + size // 4 + size, middle + size // 2)
                draw.rectangle(box, fill=self.classes.palette[index], outline=INK)
                draw.text((x + 1.6 * size, middle), self._name(index), INK, self.font, anchor="lm")
        if more := sum(map(len, rows[LEGEND_ROWS:])):
            draw.text((self.width - 2, height), f" +{more} ", INK, self.font, anchor="rs")
        return picture


class Panels:
    """Pictures of one size side by side, each under its title, with the legends below.

    size: (width, height) of each picture. One legend serves all pictures if their classes are the same;
    otherwise each has its own. `classes` is None for a picture without any, such as a photograph.
    """

    def __init__(
        self, titles: Sequence[str], classes: Sequence[ClassSet | None], size: tuple[int, int]
    ) -> None:
        self.size, count = size, len(titles)
        self.width = count * size[0] + (count - 1) * GAP
        text = min(max(round(self.width * TEXT_BY_WIDTH), SMALLEST_TEXT), LARGEST_TEXT)
        self._bar, font = round(1.7 * text), font_of(text)
        self._left = [place * (size[0] + GAP) for place in range(count)]
        kinds = [(place, kind) for place, kind in enumerate(classes) if kind is not None]
        if all(kind == kinds[0][1] for _, kind in kinds):
            self._legends = [(kinds[0][0], 0, Legend(kinds[0][1], self.width, font))]
        else:
            self._legends = [(place, self._left[place], Legend(kind, size[0], font)) for place, kind in kinds]
        height = self._bar + size[1] + max(legend.height for *_, legend in self._legends)
        self._paper = Image.new("RGB", (self.width, height), PAPER)
        draw = ImageDraw.Draw(self._paper)
        for left, title in zip(self._left, titles):
            place = (left + size[0] / 2, self._bar / 2)
            draw.text(place, shortened(safe(title), size[0], font), INK, font, anchor="mm")
        for _, left, legend in self._legends:
            if legend.all_fit:
                self._paper.paste(legend.drawn(()), (left, self._bar + size[1]))

    @property
    def whole(self) -> tuple[int, int]:
        """Width and height of all together."""
        return self._paper.size

    def drawn(self, pictures: Sequence[Image.Image], labels: Sequence[np.ndarray | None]) -> Image.Image:
        """The pictures in place; a label, of any size, says which classes a picture shows."""
        whole = self._paper.copy()
        for left, picture in zip(self._left, pictures):
            whole.paste(fitted(picture, self.size), (left, self._bar))
        for place, left, legend in self._legends:
            if not legend.all_fit:
                same = labels if len(self._legends) == 1 else labels[place : place + 1]
                present = set().union(*(np.unique(label).tolist() for label in same if label is not None))
                whole.paste(legend.drawn(present), (left, self._bar + self.size[1]))
        return whole


def fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at a size, with black beside one of clearly other proportions."""
    if picture.size == size:
        return picture
    stretch = picture.width * size[1] / (picture.height * size[0])
    if abs(stretch - 1) < ROUNDING:
        return picture.resize(size, Image.Resampling.LANCZOS)
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS)
