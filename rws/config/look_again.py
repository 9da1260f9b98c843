"""How a network looks again at parts of an image; no option of a run, but what commands and runs share."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

from rws.errors import UserError

CHOICES = ("uncertainty", "attention", "random")
MOST_PASSES = 26  # of an image, on the average
SMALLEST_SIDE = 0.125  # of a window over the image's, as rws.core.windows.STEP


@dataclass(frozen=True)
class LookAgain:
    """RWS at test time: the whole image, and enlarged windows over what the network is unsure of.

    Where there is no background the whole, enlarged, takes the place of two or more windows.

    passes: forward passes an image, the first one included; over a folder or a film their mean. most: passes
    of one image at most. sides: of the windows over the image's; a smaller one is taken where it holds much
    of what is unsure. choose: by what else the windows are chosen, for a comparison: what the last stage's
    heat map misses, or chance.

    Raises: UserError for numbers that cannot be.
    """

    passes: float = 3.0
    most: int | None = None
    sides: tuple[float, ...] = (0.7, 0.5)
    choose: str = "uncertainty"

    def __post_init__(self) -> None:
        if self.choose not in CHOICES:
            raise UserError(f"choose {self.choose!r}: must be one of {', '.join(CHOICES)}")
        if not isinstance(self.passes, Real):
            raise UserError(
                f"command line: --passes {self.passes!r}: must be a number from 1 to {MOST_PASSES}"
            )
        if not 1 <= self.passes <= MOST_PASSES:
            raise UserError(
                f"command line: --passes {self.passes:g}: must be 1 to {MOST_PASSES}, the whole included"
            )
        if self.most is not None and not (isinstance(self.most, Integral) and self.most >= self.passes):
            raise UserError(
                f"command line: --passes-most {self.most}: must be at least --passes {self.passes:g}, and a "
                "whole number"
            )
        if not self.sides or not all(SMALLEST_SIDE <= side < 1 for side in self.sides):
            raise UserError(f"sides {self.sides}: must be one or several, from {SMALLEST_SIDE} to below 1")

    @property
    def whole_in_scenes(self) -> bool:
        """Whether the whole takes the place of windows without a background: not of such as are asked for."""
        return self.choose == "uncertainty" and self.sides == type(self).sides

    @property
    def most_passes(self) -> int:
        """Of one image: `most`, or twice the mean."""
        return self.most if self.most is not None else math.ceil(2 * self.passes)
