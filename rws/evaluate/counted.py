"""Several ways to predict a list with one network, counted image by image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rws.data import Split
from rws.evaluate.groups import confusion_of, overlaps_of
from rws.evaluate.predictions import predictions
from rws.evaluate.remembered import remembering
from rws.evaluate.ways import Trained, Way


@dataclass(frozen=True)
class Counted:
    """One way over a list.

    overlaps: (N, 2, C) pixels in common and in either, by image and class. units: mean forward passes of an
    image.
    """

    overlaps: np.ndarray
    units: float


def count_ways(
    trained: Trained, split: Split, ids: Sequence[str], ways: Mapping[str, Way], desc: str
) -> dict[str, Counted]:
    """The ways by name. What several of them see of an image the network is shown once.

    Raises: UserError for an image or a label that cannot be used.
    """
    classes = trained.card.classes
    overlaps: dict[str, list[np.ndarray]] = {name: [] for name in ways}
    units = dict.fromkeys(ways, 0.0)
    with remembering(trained.network) as forget:
        for photo, predicted in predictions(trained, split, ids, ways, desc):
            forget()
            known = photo.label != classes.ignore_index
            for name, each in predicted.items():
                confusion = confusion_of(each.label, photo.label, known, classes.num_classes)
                overlaps[name].append(overlaps_of(confusion))
                units[name] += each.units
    return {name: Counted(np.stack(each), units[name] / len(ids)) for name, each in overlaps.items()}
