"""The range of values that becomes black to white, for images of more than 8 bits a channel."""

from dataclasses import dataclass

import numpy as np

from rws.errors import UserError

BITS = (8, 10, 12, 14, 16)


@dataclass(frozen=True)
class Levels:
    """The values of black and of white; what lies outside is cut off where the range was `given`.

    given: by a person, or with a trained network; a range that was found must hold every value.
    """

    low: float
    high: float
    given: bool = True

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high

    def __str__(self) -> str:
        return f"{self.low:g}..{self.high:g}"


# For images of which none that was looked at has more than 8 bits.
NO_LEVELS = Levels(0, 0, given=False)


class LevelsError(UserError):
    """Values whose range is not known, or that lie outside the one that was found."""


def find_levels(lowest: float, highest: float, whole: bool) -> Levels | None:
    """The range that values of images use: that of the fewest BITS for whole numbers, 0..1 for others.

    None where it cannot be told.
    """
    ends = [(1 << bits) - 1 for bits in BITS] if whole else [1]
    return next((Levels(0, end, given=False) for end in ends if lowest >= 0 and highest <= end), None)


def find_levels_of(pixels: np.ndarray) -> Levels:
    """The range of one image's values.

    Raises: LevelsError where it cannot be told.
    """
    lowest, highest = extent(pixels)
    levels = find_levels(lowest, highest, np.issubdtype(pixels.dtype, np.integer))
    if levels is None:
        raise LevelsError(
            f"its values are {lowest:g}..{highest:g}, and which is white is not known; save it with 8 bits"
        )
    return levels


def extent(pixels: np.ndarray) -> tuple[float, float]:
    """The least and the greatest value.

    Raises: LevelsError for values that are not finite.
    """
    lowest, highest = float(pixels.min()), float(pixels.max())
    if not np.isfinite([lowest, highest]).all():
        raise LevelsError("it holds values that are no finite numbers; replace the file")
    return lowest, highest


def to_8_bits(pixels: np.ndarray, levels: Levels | None) -> np.ndarray:
    """Values from black to white as 0..255; without `levels` their range is found in this image alone.

    Shape: (H, W) or (H, W, 3), any numbers -> the same, uint8.
    Raises: LevelsError for a range that cannot be found, and for values outside one that was found.
    """
    levels = levels or find_levels_of(pixels)
    lowest, highest = extent(pixels)
    if not levels.given and (lowest < levels.low or highest > levels.high or levels == NO_LEVELS):
        others = "8 bits" if levels == NO_LEVELS else f"the range {levels}"
        raise LevelsError(
            f"its values are {lowest:g}..{highest:g}, the others have {others}; give --data.range [LOW,HIGH]"
        )
    if np.issubdtype(pixels.dtype, np.unsignedinteger) and pixels.dtype.itemsize == 2:
        return _scaled(np.arange(1 << 16), levels)[pixels]
    return _scaled(pixels, levels)


def _scaled(values: np.ndarray, levels: Levels) -> np.ndarray:
    share = (values.astype(np.float64) - levels.low) / (levels.high - levels.low)
    return (np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)
