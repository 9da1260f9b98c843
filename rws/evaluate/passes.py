"""What looking again gives at test time: mIoU over a list, against the forward passes that an image takes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from rws.data import Split
from rws.evaluate.counted import Counted, count_ways
from rws.evaluate.intervals import bootstrap
from rws.evaluate.scores import miou
from rws.evaluate.ways import Trained, Way, again, make_ways
from rws.method.look_again import PassBudget, SeenAgain
from rws.predict.ways import LookAgain

PASSES = (1, 2, 3, 4)
# Of the ways that see every image alike the best at about three passes on most sets (docs/results.md).
RIVAL = "with_1.5"


@dataclass(frozen=True)
class Gain:
    """A difference of mIoU to one pass, and its 95 % interval over a bootstrap of the images."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """A way to predict: mean forward passes of an image (units), mIoU in percent, gain over one pass."""

    way: str
    units: float
    miou: float
    gain: Gain | None


def looking_again(passes: Sequence[int] = PASSES) -> dict[str, Way]:
    """`--ways rws` with several numbers of passes, good for one list."""
    looks = {k: LookAgain(k) for k in passes}
    return {way_name(k): partial(again, look, PassBudget(look)) for k, look in looks.items()}


def first_windows(seen: SeenAgain, count: int) -> SeenAgain:
    """What was seen with the first windows alone."""
    return replace(seen, slices=seen.slices[:count], places_yxhw=seen.places_yxhw[:count])


def way_name(passes: int) -> str:
    """The name of looking again with so many passes; with one it is the network alone."""
    return "plain" if passes == 1 else f"rws_{passes}"


def against_passes(trained: Trained, split: Split, ids: Sequence[str]) -> list[Point]:
    """A network alone, looking again with each of PASSES, and RIVAL, in this order.

    It takes about seven forward passes an image.

    Raises: UserError for an image or a label that cannot be used.
    """
    return measured(trained, split, ids, looking_again() | make_ways([RIVAL]))


def measured(trained: Trained, split: Split, ids: Sequence[str], ways: dict[str, Way]) -> list[Point]:
    """Some ways to predict, with gains over the first one.

    Raises: UserError for an image or a label that cannot be used.
    """
    counted = count_ways(trained, split, ids, ways, "look again")
    first = next(iter(counted.values()))
    return [
        Point(name, each.units, miou(each.overlaps.sum(0)), None if each is first else _gain(each, first))
        for name, each in counted.items()
    ]


def _gain(ours: Counted, theirs: Counted) -> Gain:
    found = bootstrap(ours.overlaps[None], theirs.overlaps[None], miou)
    low, high = (math.nan if found[end] is None else found[end] for end in ("low", "high"))
    return Gain(found["mean"], low, high)
