"""Intersection over union from one integer confusion matrix."""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics.classification import MulticlassConfusionMatrix

from rws.data.classes import ClassSet
from rws.data.eval_images import EvalBatch
from rws.runtime.bars import tracked
from rws.runtime.device import device_of, to_network
from rws.runtime.distributed import is_first


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


@torch.inference_mode()
def evaluate(network: nn.Module, batches: Iterable[EvalBatch], classes: ClassSet) -> dict:
    """mIoU in percent, and for each class, at the labels' own sizes; every image counts once."""
    device = device_of(network)
    confusion = confusion_matrix(classes.num_classes, classes.ignore_index).to(device)
    network.eval()
    for batch in tracked(batches, desc="evaluate", unit="batch", leave=False, disable=not is_first()):
        labels = batch.labels.to(device)
        logits = network(to_network(batch.images, network))["out"]
        logits = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=False)
        confusion.update(logits.argmax(1), labels)
    return as_scores(confusion.compute().cpu(), classes.names)
