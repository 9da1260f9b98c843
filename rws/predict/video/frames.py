"""What a source of frames is."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Frame:
    """A picture in RGB, shown at `time` for `duration` seconds; the first is shown at 0.

    name: of the frame in a data set; empty in a film.
    """

    image: Image.Image
    time: Fraction
    duration: Fraction
    name: str = ""


class Source:
    """Frames one after the other, of which it never holds more than a few.

    name: what its results are called. rate: frames per second, of a film with a variable rate the mean.
    tick: of which every time is a multiple, in seconds. count: number of frames, None if unknown.
    paths: files that it reads, which no result may take the place of.
    problems: what went wrong so far while reading, which did not stop it; a line each.
    endless: it ends only when somebody ends it.
    """

    name: str
    rate: Fraction
    tick: Fraction
    count: int | None = None
    paths: tuple[Path, ...] = ()
    endless = False

    def __init__(self) -> None:
        self.problems: list[str] = []

    def frames(self) -> Iterator[Frame]:
        """The frames in order, once.

        Raises: UserError where there is none, or the reading cannot go on.
        """
        raise NotImplementedError

    def mask(self, name: str) -> np.ndarray | None:
        """The true mask of a frame, or None: 1 for objects, 0 elsewhere, 255 where nothing counts.

        Shape: (H, W) uint8.
        """
        return None
