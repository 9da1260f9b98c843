"""Scores from counts of pixels."""

import math

import numpy as np
import torch

from rws.training.evaluation import iou_per_class


def class_ious(confusion: list[list[int]]) -> list[float | None]:
    """IoU in percent of each class; None for a class that is neither labelled nor predicted."""
    iou = (iou_per_class(torch.tensor(confusion)) * 100).tolist()
    return [None if math.isnan(value) else value for value in iou]


def labelled_miou(confusion: list[list[int]]) -> float | None:
    """Mean IoU in percent over the classes that are labelled in a group of pixels; None for an empty group.

    Classes that are only predicted there are left out: which ones do would differ from network to network.
    """
    counts = torch.tensor(confusion)
    present = counts.sum(1) > 0
    return float(iou_per_class(counts)[present].mean() * 100) if present.any() else None


def miou(overlaps: np.ndarray) -> float:
    """Mean over the classes that are labelled or predicted, in percent; NaN where there are none.

    Shape: (2, C).
    """
    both, either = overlaps
    present = either > 0
    return float(100 * (both[present] / either[present]).mean()) if present.any() else math.nan
