"""Which values of a set's images of more than 8 bits are black and white: given, or found in some of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rws.data.files import deep_pixels, read_header
from rws.data.levels import Levels, extent, find_levels
from rws.data.split import Split
from rws.errors import UserError

SAMPLE = 64  # images that are looked at; one that is outside what they say is refused when it is read


def settle_levels(
    split: Split, training: Callable[[], Split], given: tuple[float, float] | None = None
) -> Split:
    """Give a split its range of values: the one `given`, or where it needs one that of the training images.

    Raises: UserError for a range that cannot be found.
    """
    if given is not None:
        split.reading = replace(split.reading, levels=Levels(*given))
    elif split.reading.levels is None and (own := _deep(_some_of(split))):
        found = _deep(_some_of(training())) or own
        split.reading = replace(split.reading, levels=_found(found))
    return split


def levels_of(paths: Sequence[Path]) -> Levels | None:
    """The range of the images of a film, by some spread over it; None where these have 8 bits.

    Raises: UserError for a range that cannot be found.
    """
    deep = _deep(_spread(paths))
    return replace(_found(deep, "save them with 8 bits"), given=True) if deep else None


def _spread(things: Sequence) -> list:
    count = min(SAMPLE, len(things))
    return [things[k * len(things) // count] for k in range(count)]


def _some_of(split: Split) -> list[Path]:
    return [path for image_id in _spread(split.ids) if (path := split.find_image(image_id)) is not None]


def _deep(paths: list[Path]) -> list[Path]:
    return [path for path in paths if _is_deep(path)]


def _is_deep(path: Path) -> bool:
    try:
        return read_header(path).deep
    except UserError:
        return False  # the check names it


def _found(paths: list[Path], way_out: str = "give them with --data.range [LOW,HIGH]") -> Levels:
    """The range of the values in these images; files that cannot be decoded are left to the check."""
    ends, whole = [], True
    for path in paths:
        try:
            pixels = deep_pixels(path)
            ends += extent(pixels)
            whole &= np.issubdtype(pixels.dtype, np.integer)
        except UserError:
            continue
    levels = find_levels(min(ends), max(ends), whole) if ends else Levels(0, 1, given=False)
    if levels is None:
        raise UserError(
            f"{paths[0].parent}: the values of the images are {min(ends):g}..{max(ends):g}, and which are "
            f"black and white is not known; {way_out}"
        )
    return levels
