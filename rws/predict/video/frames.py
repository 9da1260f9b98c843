"""Frame and Source: the pictures of a film, and where they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Frame:
    """A picture in RGB, shown at `time` for `duration` seconds; the first is shown at 0.

    name: of the frame in a data set; empty in a film. path: of its file, where it has one of its own.
    """

    image: Image.Image
    time: Fraction
    duration: Fraction
    name: str = ""
    path: Path | None = None


class Source:
    """Frames one after the other, of which it never holds more than a few.

    name: what its results are called. rate: frames per second, of a film with a variable rate the mean.
    tick: unit of time in seconds; every time is a multiple of it. count: number of frames, None if unknown.
    paths: files that it reads; no result may overwrite them.
    problems: one line for each fault in reading that did not stop it.
    endless: the frames go on until somebody ends them. has_masks: whether the truth of some frames is known.
    levels: what becomes black and white in images of more than 8 bits; None finds it in them.
    """

    name: str
    rate: Fraction
    tick: Fraction
    count: int | None = None
    paths: tuple[Path, ...] = ()
    levels: tuple[float, float] | None = None
    endless = False
    has_masks = False

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
