"""Region similarity J and contour accuracy F of a mask, as DAVIS measures them.

F. Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, CVPR 2016.
The conventions are those of its published evaluation: the boundary of a mask is half a pixel to the lower
right of it, it may be missed by 0.008 of the image's diagonal, rounded up, and where void is marked neither
mask counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

TOLERANCE = 0.008  # of the image's diagonal
RECALL_ABOVE = 0.5
QUARTERS = 4


def region_similarity(mask: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:
    """J, the intersection of two masks over their union; 1 where both are empty.

    Shape: (H, W) bool each.
    """
    mask, truth = _without(mask, void), _without(truth, void)
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def contour_accuracy(mask: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> float:
    """F, the harmonic mean of precision and recall of the mask's boundary; 1 where neither has a boundary.

    A boundary pixel is found if the other boundary passes within the tolerance of it.

    Shape: (H, W) bool each.
    """
    own, true = boundary(_without(mask, void)), boundary(_without(truth, void))
    if not own.any() or not true.any():
        return float(own.any() == true.any())
    disk = _disk(math.ceil(TOLERANCE * math.hypot(*mask.shape)))
    precision = np.count_nonzero(own & _dilated(true, disk)) / np.count_nonzero(own)
    recall = np.count_nonzero(true & _dilated(own, disk)) / np.count_nonzero(true)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, the one below or the one between these two.

    Shape: (H, W) bool -> (H, W) bool.
    """
    below_right = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    edge = mask ^ below_right[:-1, 1:]
    edge |= mask ^ below_right[1:, :-1]
    edge |= mask ^ below_right[1:, 1:]
    return edge


def _without(mask: np.ndarray, void: np.ndarray | None) -> np.ndarray:
    return mask if void is None else mask & ~void


def _disk(radius: int) -> np.ndarray:
    """Shape: (2 radius + 1, 2 radius + 1) uint8."""
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return (rows**2 + columns**2 <= radius**2).astype(np.uint8)


def _dilated(mask: np.ndarray, disk: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), disk).astype(bool)


@dataclass(frozen=True)
class Statistics:
    """A measure over the frames of a sequence.

    recall: share of the frames above 0.5. decay: mean of the first quarter less that of the last.
    """

    mean: float
    recall: float
    decay: float


def statistics(values: Sequence[float]) -> Statistics:
    """DAVIS's statistics of the values of a sequence's frames, at least one.

    Neighbouring quarters share a frame, as in the published evaluation.
    """
    frames = np.asarray(values, float)
    ends = np.floor(np.linspace(0, len(frames) - 1, QUARTERS + 1) + 0.5).astype(int)
    first, last = frames[ends[0] : ends[1] + 1], frames[ends[-2] : ends[-1] + 1]
    recall = float((frames > RECALL_ABOVE).mean())
    return Statistics(float(frames.mean()), recall, float(first.mean() - last.mean()))
