"""What one network has predicted of a list in one way, counted image by image, and the scores of it."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rws.data.classes import ClassSet
from rws.data.object_sizes import SIZES
from rws.errors import UserError
from rws.evaluate.groups import boundary_overlaps, confusion_of, overlaps_of
from rws.evaluate.predictions import Prediction
from rws.evaluate.scores import class_ious, labelled_miou, miou
from rws.evaluate.ways import Photo


@dataclass(frozen=True)
class ClassScores:
    """Of one class, in percent, None where it does not occur; pixels: the labelled ones, its support."""

    iou: float | None
    accuracy: float | None
    boundary_iou: float | None
    pixels: int


@dataclass(frozen=True)
class Scores:
    """What a network scored in one way, in percent.

    miou, boundary_iou: means over the classes that are labelled or predicted; the second is None where none
    has a boundary. mean_accuracy: over those that are labelled. sizes: mIoU by size of the object, None where
    there is none. confusion: pixels, rows labels. images: mIoU of each. units: of an image. to_first_way,
    to_first_network: paired differences of mIoU.
    """

    miou: float
    pixel_accuracy: float
    mean_accuracy: float
    boundary_iou: float | None
    sizes: dict[str, float | None]
    classes: dict[str, ClassScores]
    confusion: list[list[int]]
    images: dict[str, float]
    units: float
    images_per_second: float
    to_first_way: dict | None = None
    to_first_network: dict | None = None


class Tally:
    """Counts of pixels, and the overlaps (2, C) of each image, for a bootstrap; no label is kept."""

    def __init__(self, classes: ClassSet) -> None:
        self.classes, count = classes, classes.num_classes
        self.confusion = np.zeros((count, count), np.int64)
        self.by_size = {size: self.confusion.copy() for size in SIZES}
        self.boundaries = np.zeros((2, count), np.int64)
        self.overlaps: dict[str, np.ndarray] = {}
        self.units = self.seconds = 0.0
        self.ignored = False  # whether some pixel counts nowhere

    def add(self, photo: Photo, predicted: Prediction, sizes: Mapping[str, np.ndarray]) -> float:
        """Count one image; its mIoU, NaN where no pixel counts.

        Shape: sizes by name (H, W) bool.
        """
        label, count = photo.label, self.classes.num_classes
        confusion = confusion_of(predicted.label, label, label != self.classes.ignore_index, count)
        self.confusion += confusion
        for size, mask in sizes.items():
            self.by_size[size] += confusion_of(predicted.label, label, mask, count)
        self.boundaries += boundary_overlaps(predicted.label, label, self.classes)
        self.ignored |= bool((label == self.classes.ignore_index).any())
        self.units += predicted.units
        self.seconds += predicted.seconds
        self.overlaps[photo.image_id] = overlaps_of(confusion)
        return miou(self.overlaps[photo.image_id])

    def scores(self, **differences: dict | None) -> Scores:
        """The scores of all images so far.

        Raises: UserError where no pixel of theirs counts, or of those that count none is of an object.
        """
        labelled, right = self.confusion.sum(1), self.confusion.diagonal()
        if not labelled.any():
            raise UserError("no label of the list holds a pixel that counts; name another by --list")
        if self.ignored and not labelled[list(self.classes.foreground)].any():
            raise UserError(
                "no label of the list holds an object, but 255, which counts nowhere: write the number of "
                "its class, or name another list by --list"
            )
        accuracy, boundary = _shares(right, labelled), _shares(*self.boundaries)
        each = zip(class_ious(self.confusion.tolist()), accuracy, boundary, labelled.tolist())
        images = {image_id: miou(own) for image_id, own in self.overlaps.items()}
        return Scores(
            miou(overlaps_of(self.confusion)),
            float(100 * right.sum() / labelled.sum()),
            _mean(accuracy),
            _mean(boundary),
            {size: labelled_miou(counts.tolist()) for size, counts in self.by_size.items()},
            {name: ClassScores(*own) for name, own in zip(self.classes.names, each)},
            self.confusion.tolist(),
            {image_id: score for image_id, score in images.items() if not math.isnan(score)},
            self.units / len(self.overlaps),
            len(self.overlaps) / self.seconds,
            **differences,
        )


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    """Percentages, None where there is no whole; shape (N,) each."""
    return [100 * a / b if b else None for a, b in zip(part.tolist(), whole.tolist())]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
