"""Intersection over union from one integer confusion matrix."""

import math

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix


def confusion_matrix(num_classes: int, ignore_index: int) -> MulticlassConfusionMatrix:
    """A confusion matrix that is fed (predicted, label) maps and ignores pixels labelled `ignore_index`."""
    return MulticlassConfusionMatrix(num_classes, ignore_index=ignore_index, validate_args=False)


def iou_per_class(confusion: Tensor) -> Tensor:
    """IoU of each class; NaN for a class that is neither labelled nor predicted anywhere.

    Shape: (C, C) counts, rows labels, columns predictions -> (C,) float64.
    """
    counts = confusion.double()
    hit = counts.diagonal()
    return hit / (counts.sum(0) + counts.sum(1) - hit)


def mean_iou(iou: Tensor) -> float:
    """Mean over the classes that occur."""
    return float(torch.nanmean(iou))


def as_scores(confusion: Tensor, names: tuple[str, ...]) -> dict:
    """{"miou": percent, "iou": {class: percent, null for a class that does not occur}}."""
    iou = iou_per_class(confusion) * 100
    each = {name: None if math.isnan(v) else v for name, v in zip(names, iou.tolist())}
    return {"miou": mean_iou(iou), "iou": each}
