"""What looking again gives at test time: mIoU over a list, against the forward passes that an image takes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from rws.data import Split
from rws.evaluate.groups import confusion_of, overlaps_of
from rws.evaluate.intervals import bootstrap
from rws.evaluate.predictions import predictions
from rws.evaluate.scores import miou
from rws.evaluate.ways import Photo, Predicted, Trained, Way, make_ways
from rws.method.look_again import PassBudget, SeenAgain, look_again
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


class _Budgets:
    """Several budgets of passes over the same images."""

    def __init__(self, passes: Sequence[int]):
        self._each = {k: PassBudget(LookAgain(k)) for k in passes}
        self.counts: dict[int, int] = {}

    def take(self, worths: list[float]) -> int:
        """As many windows as the largest of the budgets takes of an image; `counts` has those of each."""
        self.counts = {k: budget.take(worths[: budget.most]) for k, budget in self._each.items()}
        return max(self.counts.values())


class LookedOnce:
    """`--ways rws` with several numbers of passes, good for one list: each image is looked at once for all.

    The windows of few passes are the first ones of those of many. Where these alone would be put in place on
    a coarser grid, as the smaller windows come later, the image is looked at again.
    """

    def __init__(self, passes: Sequence[int] = PASSES):
        self._options, self._budgets = LookAgain(max(passes)), _Budgets(passes)
        self._photo: Photo | None = None
        self._seen: SeenAgain | None = None
        self.ways: dict[str, Way] = {way_name(k): partial(self._predict, k) for k in passes}

    def _predict(self, passes: int, trained: Trained, photo: Photo) -> Predicted:
        if self._photo is not photo:
            self._photo = photo
            self._seen = look_again(trained.network, trained.card, photo.image, self._options, self._budgets)
        count = self._budgets.counts[passes]
        seen = first_windows(self._seen, count)
        if count and not torch.equal(_finest(seen), _finest(self._seen)):
            seen = look_again(trained.network, trained.card, photo.image, LookAgain(count + 1, count + 1))
        return seen.label(), seen.units


def _finest(seen: SeenAgain) -> Tensor:
    """Height and width of the smallest window."""
    return seen.places_yxhw[:, 2:].amin(0)


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
    return measured(trained, split, ids, LookedOnce().ways | make_ways([RIVAL], 1))


def measured(trained: Trained, split: Split, ids: Sequence[str], ways: dict[str, Way]) -> list[Point]:
    """Some ways to predict, with gains over the first one.

    Raises: UserError for an image or a label that cannot be used.
    """
    classes = trained.card.classes
    overlaps: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    units = dict.fromkeys(ways, 0.0)
    for photo, predicted in predictions(trained, split, ids, ways, "look again"):
        known = photo.label != classes.ignore_index
        for name, each in predicted.items():
            confusion = confusion_of(each.label, photo.label, known, classes.num_classes)
            overlaps[name].append(overlaps_of(confusion))
            units[name] += each.units
    first, *_ = counted = {name: np.stack(each)[None] for name, each in overlaps.items()}
    return [
        Point(name, units[name] / len(ids), miou(each[0].sum(0)), _gain(each, counted[first]))
        for name, each in counted.items()
    ]


def _gain(ours: np.ndarray, theirs: np.ndarray) -> Gain | None:
    if ours is theirs:
        return None
    found = bootstrap(ours, theirs, miou)
    return Gain(found["mean"], found["low"], found["high"])
