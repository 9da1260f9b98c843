"""How large the objects of a label are: small, medium or large connected regions."""

import cv2
import numpy as np

# Area of an object, a connected region of one label, over the image's.
SMALL, LARGE = 0.01, 0.10
SIZES = ("small", "medium", "large")


def object_area(label: np.ndarray, *left_out: int) -> np.ndarray:
    """For each pixel the area of the connected region (8 neighbours) of its label over the image's.

    Shape: (H, W) uint8 -> (H, W) float, 0 where the label is one of those left out.
    """
    area = np.zeros(label.shape)
    for value in np.flatnonzero(np.bincount(label.ravel())):  # np.unique would sort
        if value not in left_out:
            _, regions = cv2.connectedComponents((label == value).astype(np.uint8), connectivity=8)
            counts = np.bincount(regions.ravel())
            area = np.where(regions > 0, counts[regions], area)
    return area / label.size


def size_of(area: np.ndarray) -> np.ndarray:
    """The place in SIZES of each area; exactly SMALL and exactly LARGE are medium.

    Shape: any float -> the same, integer.
    """
    return (area >= SMALL).astype(np.int64) + (area > LARGE)
