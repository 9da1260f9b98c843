"""Pixels by the size of their object and by their distance to a boundary, and what is counted over them."""

import cv2
import numpy as np

from rws.data.classes import ClassSet
from rws.data.object_sizes import SIZES, object_area, size_of

BOUNDARY_PIXELS = 5
GROUPS = ("all", *SIZES, "boundary", "interior")


def near_boundary(
    label: np.ndarray, ignore_index: int, pixels: int = BOUNDARY_PIXELS, *, edge: bool = False
) -> np.ndarray:
    """Where another label lies at most so many rows and columns away; ignored pixels are no other label.

    With `edge` what lies outside the image is another label.

    Shape: (H, W) uint8 -> (H, W) bool.
    """
    square = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    known = label != ignore_index
    highest = cv2.dilate(np.where(known, label, 0).astype(np.uint8), square)
    lowest = cv2.erode(np.where(known, label, 255).astype(np.uint8), square)
    near = highest != lowest
    if edge:
        near[:pixels] = near[-pixels:] = near[:, :pixels] = near[:, -pixels:] = True
    return known & near


def group_masks(label: np.ndarray, ignore_index: int) -> dict[str, np.ndarray]:
    """The pixels of each group, by the label alone, so that they are the same for every network.

    Shape: (H, W) uint8 -> six of (H, W) bool.
    """
    boundary = near_boundary(label, ignore_index)
    places = {"boundary": boundary, "interior": ~boundary}
    known = label != ignore_index
    places = {name: known & mask for name, mask in places.items()}
    return {"all": known, **size_masks(label, ignore_index), **places}


def size_masks(label: np.ndarray, ignore_index: int) -> dict[str, np.ndarray]:
    """The pixels of small, medium and large objects.

    Shape: (H, W) uint8 -> three of (H, W) bool.
    """
    known, size = label != ignore_index, size_of(object_area(label, ignore_index))
    return {name: known & (size == place) for place, name in enumerate(SIZES)}


def confusion_of(predicted: np.ndarray, label: np.ndarray, mask: np.ndarray, classes: int) -> np.ndarray:
    """Counts of (label, prediction) over a mask.

    Shape: three (H, W) -> (C, C) int64, rows labels.
    """
    pairs = label[mask].astype(np.int64) * classes + predicted[mask]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def overlaps_of(confusion: np.ndarray) -> np.ndarray:
    """For each class the pixels in prediction and label, and in either.

    Shape: (C, C) counts -> (2, C).
    """
    both = confusion.diagonal()
    return np.stack([both, confusion.sum(0) + confusion.sum(1) - both])


def boundary_overlaps(
    predicted: np.ndarray, label: np.ndarray, classes: ClassSet, ratio: float = 0.02
) -> np.ndarray:
    """`overlaps_of` the boundaries: the pixels of a class that lie near another one, in prediction and label.

    Near is within `ratio` of the image's diagonal, in rows and columns; the image's edge is a boundary, as in
    the paper's code. Ignored pixels count nowhere, and no boundary runs along them.

    Shape: (H, W) uint8 each -> (2, C).
    Source: Boundary IoU, Cheng et al., CVPR 2021, for a mask of each class.
    """
    ignored, count = classes.ignore_index, classes.num_classes
    pixels = max(1, round(ratio * float(np.hypot(*label.shape))))
    predicted = np.where(label == ignored, ignored, predicted).astype(np.uint8)
    of_label, of_predicted = (near_boundary(m, ignored, pixels, edge=True) for m in (label, predicted))
    both = np.bincount(label[of_label & of_predicted & (label == predicted)], minlength=count)
    sums = sum(np.bincount(m[n], minlength=count) for m, n in ((label, of_label), (predicted, of_predicted)))
    return np.stack([both, sums - both])
