"""Which slices a training on whole images takes among them, and how often each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from rws.config import TrainConfig
from rws.data.boxes import Box
from rws.data.classes import ClassSet
from rws.data.split import Split
from rws.data.views import View

LEAST_SHARE = 0.001  # of a slice's pixels, for a class to count as held


@dataclass(frozen=True)
class Among:
    """Slices among whole images, as `rws.train.training.Job` takes them."""

    views: list[View] = field(default_factory=list)
    share: float = 0.0
    weights: list[float] | None = None


def slices_among(train: TrainConfig, views: list[View], split: Split, classes: ClassSet) -> Among:
    """The slices that the configuration asks for out of all weak ones: enlarged, or aimed at by class."""
    if not (train.slice_aim and train.slice_aim_by == "class"):
        return Among(views, train.slice_mix) if train.slice_mix else Among()
    held, label = [], {}
    for view in views:  # those of an image come together
        if view.image_id not in label:
            label = {view.image_id: torch.from_numpy(split.label(view.image_id))}
        held.append(classes_in(label[view.image_id], view.box_yxhw, classes.foreground))
    return Among([replace(view, aimed=True) for view in views], train.slice_aim, even_weights(held))


def classes_in(label: Tensor, box_yxhw: Box, foreground: Sequence[int]) -> frozenset[int]:
    """The foreground classes that have at least LEAST_SHARE of the pixels inside a box.

    Shape: (H, W) uint8.
    """
    y, x, h, w = box_yxhw
    counts = torch.bincount(label[y : y + h, x : x + w].flatten(), minlength=256).tolist()
    return frozenset(index for index in foreground if counts[index] >= max(1, LEAST_SHARE * h * w))


def even_weights(held: Sequence[frozenset[int]]) -> list[float]:
    """How likely each slice is drawn, so that first a class is drawn, each as likely, and then a slice of it.

    held: the classes that each slice holds; a slice that holds none gets 0, unless none holds any.
    """
    slices_of = Counter(index for classes in held for index in classes)
    weights = [sum(1 / slices_of[index] for index in classes) for classes in held]
    return weights if any(weights) else [1.0] * len(held)
